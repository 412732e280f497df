package gcs_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/objectstore"
)

// store is a server with the API of Google Cloud Storage as far as the driver uses it. It is as strict about uploads as
// Google's, which the server of package objectstore is not: a session takes bytes only where it stands, passes over those
// that it has, may keep less than it was sent, and compares the checksum at its end.
type store struct {
	mu       sync.Mutex
	objects  map[string]*stored
	sessions map[string]*session
	ended    []string // sessions that were deleted
	keep     func(had, got int64) int64

	// fault may answer a request in place of the store, and then says true.
	fault func(w http.ResponseWriter, r *http.Request, next http.Handler) bool
}

type stored struct {
	Name           string            `json:"name"`
	Bucket         string            `json:"bucket"`
	Size           int64             `json:"size,string"`
	CRC32C         string            `json:"crc32c"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	StorageClass   string            `json:"storageClass,omitempty"`
	KMSKeyName     string            `json:"kmsKeyName,omitempty"`
	ContentType    string            `json:"contentType,omitempty"`
	Created        time.Time         `json:"timeCreated"`
	Generation     int64             `json:"generation,string"`
	data           []byte
	ifAbsent       bool
	checksumWanted string
}

type session struct {
	stored
	mu   sync.Mutex // guards what follows, and all of what is stored: a chunk can come again while the first is taken
	have bytes.Buffer
}

// serve starts the store with the bucket "bucket".
func (s *store) serve(t *testing.T) objectstore.GCSServer {
	t.Helper()
	s.objects, s.sessions = map[string]*stored{}, map[string]*session{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /upload/storage/v1/b/bucket/o", s.upload)
	mux.HandleFunc("DELETE /upload/storage/v1/b/bucket/o", s.end)
	mux.HandleFunc("GET /storage/v1/b/bucket/o", s.list)
	mux.HandleFunc("GET /storage/v1/b/bucket/o/{name...}", s.get)
	mux.HandleFunc("DELETE /storage/v1/b/bucket/o/{name...}", s.delete)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "notFound", "The specified bucket does not exist.")
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.fault == nil || !s.fault(w, r, mux) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return objectstore.GCSServer{Endpoint: server.URL, Bucket: "bucket"}
}

// refuse answers as the store does when something is wrong.
func refuse(w http.ResponseWriter, status int, reason, text string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	item := map[string]any{"message": text, "domain": "global", "reason": reason}
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": text, "errors": []any{item}}})
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(what)
}

func sum(data []byte) string {
	table := crc32.MakeTable(crc32.Castagnoli)
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, table)))
}

func (s *store) upload(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch {
	case query.Get("upload_id") != "":
		s.chunk(w, r, query.Get("upload_id"))
	case query.Get("uploadType") == "resumable":
		s.begin(w, r)
	default:
		s.whole(w, r)
	}
}

// described reads what a put says of its object.
func described(r *http.Request, text io.Reader) (stored, error) {
	var o stored
	err := json.NewDecoder(text).Decode(&struct {
		*stored
		Size, Generation *string // of no matter in a put
	}{stored: &o})
	o.Name, o.Bucket, o.checksumWanted = r.URL.Query().Get("name"), "bucket", o.CRC32C
	o.KMSKeyName = r.URL.Query().Get("kmsKeyName")
	o.ifAbsent = r.URL.Query().Get("ifGenerationMatch") == "0"
	return o, err
}

func (s *store) whole(w http.ResponseWriter, r *http.Request) {
	_, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	parts := multipart.NewReader(r.Body, parameters["boundary"])
	description, err := parts.NextPart()
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	o, err := described(r, description)
	if err == nil {
		var media *multipart.Part
		if media, err = parts.NextPart(); err == nil {
			o.data, err = io.ReadAll(media)
		}
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	s.create(w, &o)
}

func (s *store) begin(w http.ResponseWriter, r *http.Request) {
	o, err := described(r, r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("SECRET-%d", len(s.sessions))
	s.sessions[id] = &session{stored: o}
	w.Header().Set("Location", "http://"+r.Host+"/upload/storage/v1/b/bucket/o?uploadType=resumable&upload_id="+id)
	answer(w, struct{}{})
}

func (s *store) chunk(w http.ResponseWriter, r *http.Request, id string) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut
	}
	s.mu.Lock()
	u := s.sessions[id]
	s.mu.Unlock()
	if u == nil {
		refuse(w, http.StatusNotFound, "notFound", "Not Found")
		return
	}
	var first, last, total int64
	header := r.Header.Get("Content-Range")
	if n, _ := fmt.Sscanf(header, "bytes */%d", &total); n == 1 {
		first = total
	} else if n, _ := fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &total); n < 3 {
		total = -1
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	had := int64(u.have.Len())
	if first > had || (len(data) > 0 && last-first+1 != int64(len(data))) {
		refuse(w, http.StatusServiceUnavailable, "backendError", "the session does not stand there: "+header)
		return
	}
	fresh := data[min(int64(len(data)), had-first):]
	if s.keep != nil {
		fresh = fresh[:s.keep(had, int64(len(fresh)))]
	}
	u.have.Write(fresh)
	if int64(u.have.Len()) != total {
		w.Header().Set("X-Http-Status-Code-Override", "308")
		if u.have.Len() > 0 {
			w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", u.have.Len()-1))
		}
		return
	}
	_, u.checksumWanted, _ = strings.Cut(r.Header.Get("X-Goog-Hash"), "crc32c=")
	u.data = bytes.Clone(u.have.Bytes())
	if s.create(w, &u.stored) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, id)
	}
}

func (s *store) create(w http.ResponseWriter, o *stored) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[o.Name] != nil && o.ifAbsent {
		refuse(w, http.StatusPreconditionFailed, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
		return false
	}
	o.CRC32C, o.Size, o.Created = sum(o.data), int64(len(o.data)), time.Now()
	if o.checksumWanted != o.CRC32C {
		refuse(w, http.StatusBadRequest, "invalid", fmt.Sprintf("Provided CRC32C %q doesn't match calculated CRC32C %q.", o.checksumWanted, o.CRC32C))
		return false
	}
	o.Generation = time.Now().UnixMicro()
	s.objects[o.Name] = o
	answer(w, o)
	return true
}

func (s *store) end(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.URL.Query().Get("upload_id")
	delete(s.sessions, id)
	s.ended = append(s.ended, id)
	w.WriteHeader(499)
}

func (s *store) find(w http.ResponseWriter, r *http.Request) *stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _ := url.PathUnescape(r.PathValue("name"))
	o := s.objects[name]
	if o == nil {
		refuse(w, http.StatusNotFound, "notFound", "No such object: bucket/"+name)
	}
	return o
}

func (s *store) get(w http.ResponseWriter, r *http.Request) {
	o := s.find(w, r)
	switch {
	case o == nil:
	case r.URL.Query().Get("alt") == "media":
		w.Header().Set("X-Goog-Generation", fmt.Sprint(o.Generation))
		w.Header().Set("X-Goog-Hash", "crc32c="+o.CRC32C)
		w.Header().Set("Content-Type", o.ContentType)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.data))
	default:
		answer(w, o)
	}
}

func (s *store) delete(w http.ResponseWriter, r *http.Request) {
	if o := s.find(w, r); o != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.objects, o.Name)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *store) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const page = 3
	var items []*stored
	for _, o := range s.objects {
		if strings.HasPrefix(o.Name, r.URL.Query().Get("prefix")) && o.Name > r.URL.Query().Get("pageToken") {
			items = append(items, o)
		}
	}
	slices.SortFunc(items, func(a, b *stored) int { return strings.Compare(a.Name, b.Name) })
	next := ""
	if len(items) > page {
		items = items[:page]
		next = items[page-1].Name
	}
	answer(w, map[string]any{"items": items, "nextPageToken": next})
}

// bytesAt is what the store has under a name, or nil.
func (s *store) bytesAt(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[name]; o != nil {
		return o.data
	}
	return nil
}

// loseAnswer lets the store act and cuts the connection before it can answer.
func loseAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	next.ServeHTTP(httptest.NewRecorder(), r)
	return cut(w)
}

func cut(w http.ResponseWriter) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
	return true
}

func isChunk(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Get("upload_id") != ""
}
