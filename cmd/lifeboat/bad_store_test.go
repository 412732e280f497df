package main

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/pgtest"
)

// scriptedStore is as much of S3 as a check asks for, with faults of one's choice that a real server does not have. It
// asks nobody for a signature.
type scriptedStore struct {
	unconditional bool          // overwrites what it was told to create
	denied        string        // the verb that is forbidden: a method, or LIST
	page          bool          // is a proxy, which answers everything with a page
	ahead         time.Duration // of its clock

	mutex   sync.Mutex
	objects map[string][]byte
}

func (s *scriptedStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	verb := r.Method
	if r.URL.Query().Has("list-type") {
		verb = "LIST"
	}
	switch {
	case s.page:
		w.Header().Set("Content-Type", "text/html")
		write(w, "<html><body>Please log in</body></html>")
	case verb == s.denied:
		refuse(w, http.StatusForbidden, "AccessDenied")
	case r.URL.Query().Has("uploads"), r.URL.Query().Has("uploadId"):
		s.upload(w, r)
	default:
		s.serve(w, r, verb)
	}
}

// write answers; a client that has gone away is no affair of the store's.
func write(w http.ResponseWriter, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	write(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message><RequestId>1</RequestId></Error>", code, code)
}

func (s *scriptedStore) serve(w http.ResponseWriter, r *http.Request, verb string) {
	key := r.URL.Path
	body, found := s.objects[key]
	switch {
	case verb == "LIST":
		write(w, `<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`)
	case verb == http.MethodPut && found && !s.unconditional && r.Header.Get("If-None-Match") != "":
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case verb == http.MethodPut:
		s.objects[key] = unchunked(r)
		w.Header().Set("ETag", tag(s.objects[key]))
	case verb == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !found:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("ETag", tag(body))
		http.ServeContent(w, r, "", time.Now().Add(s.ahead), strings.NewReader(string(body)))
	}
}

// upload takes an object of one part.
func (s *scriptedStore) upload(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Path
	_, found := s.objects[key]
	switch {
	case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
		write(w, `<?xml version="1.0"?><InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodPut:
		s.objects["part"] = unchunked(r)
		w.Header().Set("ETag", tag(s.objects["part"]))
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case found && !s.unconditional && r.Header.Get("If-None-Match") != "":
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	default:
		s.objects[key] = s.objects["part"]
		write(w, `<?xml version="1.0"?><CompleteMultipartUploadResult><ETag>"1-1"</ETag></CompleteMultipartUploadResult>`)
	}
}

func tag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// unchunked reads a body as the SDK may send it: in chunks with their lengths before them.
func unchunked(r *http.Request) []byte {
	raw, _ := io.ReadAll(r.Body)
	if !strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
		return raw
	}
	var whole []byte
	for {
		line, rest, _ := strings.Cut(string(raw), "\r\n")
		var size int
		if _, err := fmt.Sscanf(line, "%x", &size); err != nil || size == 0 || size > len(rest) {
			return whole
		}
		whole, raw = append(whole, rest[:size]...), []byte(rest[size:])[min(2, len(rest)-size):]
	}
}

// onScripted puts the repository of the installation on the store.
func (in *installation) onScripted(s *scriptedStore, more string) {
	in.t.Helper()
	s.objects = map[string][]byte{}
	server := httptest.NewServer(s)
	in.t.Cleanup(server.Close)
	in.credentials("key", "secret")
	in.place = fmt.Sprintf("  url: s3://bucket/production\n  s3: {endpoint: %q, region: us-east-1, path_style: true, credentials_file: %q%s}\n",
		server.URL, in.path("s3-credentials"), more)
	in.configure("host=/nowhere", "/nowhere")
}

func TestAStoreThatOverwritesIsRefusedUnlessTheOperatorSaysOtherwise(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	in.onScripted(&scriptedStore{unconditional: true}, "")
	in.ends(exitError, "init").says(t, "overwrites objects that it was told to create", "conditional_create: emulated")
	in.ends(exitError, "check").says(t, "store: conditional create", "conditional_create: emulated")
	in.ends(exitError, "backup").says(t, "overwrites objects")

	in.onScripted(&scriptedStore{unconditional: true}, ", conditional_create: emulated")
	in.ends(exitError, "init").says(t, "the repository is ready")
	in.ends(exitUnproven, "check").says(t, "it is emulated")
}

func TestCheckNamesWhatTheStoreRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		store *scriptedStore
		want  []string
	}{
		"put":         {&scriptedStore{denied: http.MethodPut}, []string{"fail", "store: put", "s3:PutObject"}},
		"get":         {&scriptedStore{denied: http.MethodGet}, []string{"fail", "store: get", "s3:GetObject"}},
		"list":        {&scriptedStore{denied: "LIST"}, []string{"fail", "store: list", "s3:ListBucket"}},
		"delete":      {&scriptedStore{denied: http.MethodDelete}, []string{"warn", "store: delete", "expiry needs the right"}},
		"proxy":       {&scriptedStore{page: true}, []string{"fail", "store: list"}},
		"clock":       {&scriptedStore{ahead: 10*time.Minute + 30*time.Second}, []string{"warn", "store: clock", "10m", "NTP"}},
		"all is well": {&scriptedStore{}, []string{"pass", "can list, absent object, put, get, stat, conditional create, delete"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := bareInstallation(t, pgtest.Newest(t))
			in.onScripted(tc.store, "")
			o := in.run("check") // there is no server, either
			o.says(t, tc.want...)
			if strings.Contains(o.out, "StatusCode") {
				t.Errorf("speaks the SDK's language:\n%s", o.out)
			}
		})
	}
}

func TestCheckTellsAWrongPlaceInASentence(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	server := in.onS3()
	secure := httptest.NewTLSServer(nil)
	t.Cleanup(secure.Close)
	place := in.place
	for name, tc := range map[string]struct {
		from, to string
		code     int
		want     []string
	}{
		"bucket":         {"s3://bucket/", "s3://buckte/", exitError, []string{"there is no bucket buckte"}},
		"region":         {"us-east-1", "eu-west-9", exitError, []string{"region"}},
		"https for http": {"http://", "https://", exitError, []string{"speaks plain http", "write http://"}},
		"http for https": {server.Endpoint, strings.Replace(secure.URL, "https", "http", 1), exitError, []string{"https"}},
		"own authority":  {server.Endpoint, secure.URL, exitError, []string{"authority", "ca_file"}},
		"nobody there":   {server.Endpoint, "http://127.0.0.1:1", exitUnproven, []string{"unproven", "store"}},
		"no profile":     {"s3-credentials", "s3-credential", exitError, []string{"credentials_file"}},
	} {
		in.place = strings.Replace(place, tc.from, tc.to, 1)
		in.configure("host=/nowhere", "/nowhere")
		o := in.ends(tc.code, "check")
		o.says(t, tc.want...)
		if n := strings.Count(o.out, "store: "); n > 3 {
			t.Errorf("%s: the same is told of every verb:\n%s", name, o.out)
		}
		if in.run("init").code != exitError {
			t.Errorf("%s: init made something", name)
		}
	}
	in.place = place
	in.credentials("tester", "wrong")
	in.configure("host=/nowhere", "/nowhere")
	in.ends(exitError, "check").says(t, "store")
	if left, err := filepath.Glob(server.Directory + "/*"); err != nil || len(left) > 0 {
		t.Errorf("objects are left: %v, %v", left, err)
	}
}

func TestARepositoryThatWasSetBackIsNoticed(t *testing.T) {
	t.Parallel()
	in := newFileInstallation(t, pgtest.Newest(t))
	in.must("backup")
	in.must("verify")
	in.archivesAll() // and writes there no more
	old := in.repository + ".old"
	copyTree(t, in.repository, old)
	in.must("backup")
	in.archivesAll()
	if err := os.RemoveAll(in.repository); err != nil {
		t.Fatal(err)
	}
	copyTree(t, old, in.repository)
	in.ends(exitFail, "verify").says(t, "the repository was set back", "is gone", "head.json")
	in.ends(exitError, "check").says(t, "set back", "is gone")
	if o := in.run("restore", "--target-dir", in.path("r")); o.code != exitDone || !strings.Contains(o.errors, "was set back") {
		t.Errorf("restore: exit code %d\n%s", o.code, o.errors)
	}
	if err := os.Remove(in.path("state/main.head.json")); err != nil {
		t.Fatal(err)
	}
	in.must("verify")
}

func TestAnUnwritableStateDirectoryStopsNothing(t *testing.T) {
	t.Parallel()
	in := newInstallation(t, pgtest.Newest(t))
	in.write("state", "a file in its place")
	if o := in.run("backup"); o.code != exitDone || !strings.Contains(o.errors, "state_directory") {
		t.Errorf("backup: exit code %d\n%s", o.code, o.errors)
	}
}

// environments lists the environments of the running processes that work in a directory. One that was only just split off has its
// parent's command line and environment yet, whatever it is about to become.
func environments(t *testing.T, directory string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range paths {
		at, err := os.Readlink(filepath.Join(filepath.Dir(path), "cwd"))
		if err != nil || !strings.HasPrefix(at, directory) || splitOff(filepath.Base(filepath.Dir(path))) {
			continue
		}
		if raw, err := os.ReadFile(path); err == nil {
			found = append(found, string(raw))
		}
	}
	return slices.Compact(found)
}

// splitOff says whether a process has its parent's command line.
func splitOff(process string) bool {
	pid, err := strconv.Atoi(process)
	if err != nil {
		return false
	}
	own, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // empty where it has ended
	parents, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", parentOf(pid)))
	return bytes.Equal(own, parents)
}

func TestCredentialsOfTheEnvironmentReachNoServer(t *testing.T) {
	t.Parallel()
	in := bareInstallation(t, pgtest.Newest(t))
	server := in.onS3()
	in.start(pgtest.Options{DataChecksums: true})
	in.must("init")
	in.server.Exec(t.Context(), "CREATE TABLE kept AS SELECT generate_series(1, 10) AS n")
	in.must("backup")
	in.must("census")
	file := fmt.Sprintf(", credentials_file: %q", in.path("s3-credentials"))
	in.place = strings.Replace(in.place, file, "", 1)
	in.configure(in.server.DSN("postgres"), in.server.DataDir)
	environment := []string{"AWS_ACCESS_KEY_ID=" + server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + server.SecretKey}

	target := in.path("recovered")
	o := in.runWith(environment, "restore", "--target-dir", target, "--port", freePort(t), "--archive-mode", "off", "--start")
	if o.says(t, "in this process's environment only", "credentials_file"); o.code != exitError {
		t.Errorf("restore --start: exit code %d", o.code)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the directory was made")
	}
	seen := in.watchScratch(t)
	o = in.runWith(environment, "drill", "run", "--output", "json")
	if drill := document(t, o.out); drill["verdict"] != "pass" || strings.Contains(o.out+o.errors, server.SecretKey) {
		t.Errorf("drill: exit code %d\n%s%s", o.code, o.out, o.errors)
	}
	for _, text := range seen() {
		if strings.Contains(text, server.SecretKey) {
			t.Error("a server has the secret in its environment")
		}
	}
	if left, err := filepath.Glob(in.path("scratch/.*")); err != nil || slices.ContainsFunc(left, func(path string) bool { return strings.Contains(path, lentPrefix) }) {
		t.Errorf("the drill left %v, %v", left, err)
	}
}

// watchScratch collects the environments of what runs in the scratch directory until the function is called that it
// returns.
func (in *installation) watchScratch(t *testing.T) func() []string {
	done, result := make(chan struct{}), make(chan []string)
	go func() {
		var seen []string
		for {
			select {
			case <-done:
				result <- seen
				return
			case <-time.After(20 * time.Millisecond):
				seen = append(seen, environments(t, in.path("scratch"))...)
			}
		}
	}()
	return func() []string {
		close(done)
		seen := <-result
		if len(seen) == 0 {
			t.Error("no server was seen")
		}
		return seen
	}
}
