package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// canary is a text that is nowhere in the world but where it was put: wherever else it turns up, something has leaked.
type canary struct{ what, text string }

// spellings are the ways in which programs write a text.
func spellings(text string) []string {
	quoted, _ := json.Marshal(text) // a string always is JSON
	list := []string{
		text, strings.ToLower(text), strings.ToUpper(text), string(quoted[1 : len(quoted)-1]),
		html.EscapeString(text), strings.ReplaceAll(html.EscapeString(text), "+", "&#43;"),
		url.QueryEscape(text), url.PathEscape(text),
		hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))),
	}
	for shift := range 3 {
		list = append(list, base64At(base64.RawStdEncoding, text, shift), base64At(base64.RawURLEncoding, text, shift))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// base64At is what of a text's base64 does not depend on its neighbours, where the text begins shift bytes into a group.
func base64At(encoding *base64.Encoding, text string, shift int) string {
	encoded := encoding.EncodeToString(append(make([]byte, shift), text...))
	return encoded[(shift*8+5)/6 : (shift+len(text))*8/6]
}

const windowSize = 8 // bytes of a spelling by which it is looked up

// searcher finds many canaries in all their spellings in one pass.
type searcher struct {
	begins    [1 << 16]bool
	spellings map[uint64][]canary // by how they begin
}

func newSearcher(canaries ...canary) *searcher {
	s := &searcher{spellings: map[uint64][]canary{}}
	for _, c := range canaries {
		for _, spelling := range spellings(c.text) {
			begin := binary.LittleEndian.Uint64([]byte(spelling))
			s.begins[folded(begin)] = true
			s.spellings[begin] = append(s.spellings[begin], canary{c.what, spelling})
		}
	}
	return s
}

func folded(window uint64) uint64 { return window * 0x9e3779b97f4a7c15 >> 48 }

// in names the canaries that are in a text.
func (s *searcher) in(text []byte) (found []string) {
	for i := 0; i+windowSize <= len(text); i++ {
		window := binary.LittleEndian.Uint64(text[i:])
		if !s.begins[folded(window)] {
			continue
		}
		for _, c := range s.spellings[window] {
			if bytes.HasPrefix(text[i:], []byte(c.text)) && !slices.Contains(found, c.what) {
				found = append(found, c.what)
			}
		}
	}
	return found
}

// inTree names the canaries below a directory: in files' contents, as they are and expanded, in their extended attributes
// and in their names.
func (s *searcher) inTree(t *testing.T, dir string, skip func(path string) bool) (found []string, files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		relative, relErr := filepath.Rel(dir, path)
		if err != nil || relErr != nil || skip != nil && skip(relative) {
			return err
		}
		text := attributes(path)
		if entry.Type().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			text = slices.Concat(text, content, expanded(content))
		}
		for _, what := range s.in(append(append([]byte(relative), "\n\n\n\n\n\n\n\n"...), text...)) {
			found = append(found, fmt.Sprintf("%s in %s", what, relative))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, files
}

// expanded is what zstd makes of a content from its first frame on, as far as it gets.
func expanded(content []byte) []byte {
	for from := 0; ; from++ {
		at := bytes.Index(content[from:], []byte{0x28, 0xb5, 0x2f, 0xfd})
		if at < 0 {
			return nil
		}
		from += at
		decoder, err := zstd.NewReader(bytes.NewReader(content[from:]), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil
		}
		text, _ := io.ReadAll(decoder) // what comes before an error is looked at, too
		decoder.Close()
		if len(text) > 0 {
			return text
		}
	}
}

// attributes are a file's extended attributes, where the store keeps the metadata of objects.
func attributes(path string) (all []byte) {
	names, values := make([]byte, 1<<16), make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return nil
	}
	for name := range strings.SplitSeq(string(names[:n]), "\x00") {
		if n, err := unix.Lgetxattr(path, name, values); err == nil {
			all = append(append(all, name...), values[:n]...)
		}
	}
	return all
}

// spy looks at the command lines and the environments of all processes of the machine, every few milliseconds.
type spy struct {
	secrets *searcher
	homes   []string        // directories by which it knows the processes of its test
	titles  map[int]string  // the command lines that were looked at
	mu      sync.Mutex      // guards the next
	seen    map[string]bool // programs of the test
	leaks   map[string]bool // sentences
	done    chan struct{}   // closed to end it
	ended   chan struct{}   // closed when it has ended
	holders map[string]int  // how often programs were seen that may have a secret in their environment, and had it
}

const spyInterval = 3 * time.Millisecond

// spyOn starts a spy.
func spyOn(secrets *searcher, homes ...string) *spy {
	s := &spy{
		secrets: secrets, homes: homes, titles: map[int]string{}, seen: map[string]bool{}, leaks: map[string]bool{},
		holders: map[string]int{}, done: make(chan struct{}), ended: make(chan struct{}),
	}
	go func() {
		defer close(s.ended)
		for {
			s.look()
			select {
			case <-s.done:
				return
			case <-time.After(spyInterval):
			}
		}
	}()
	return s
}

func (s *spy) stop() {
	close(s.done)
	<-s.ended
}

func (s *spy) look() {
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1) // of what is there
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			s.lookAt(pid)
		}
	}
}

// lookAt looks at a process whose command line it has not seen before. That changes when a program is started, and when
// PostgreSQL says what it is doing.
func (s *spy) lookAt(pid int) {
	dir := "/proc/" + strconv.Itoa(pid)
	title, err := os.ReadFile(dir + "/cmdline")
	if err != nil || s.titles[pid] == string(title) {
		return
	}
	s.titles[pid] = string(title)
	program := programOf(pid)
	for _, what := range s.secrets.in(title) {
		s.leaks[fmt.Sprintf("%s in the command line of %s", what, program)] = true
	}
	s.note(pid, program, string(title))
	needs := needsSecrets(pid, program) // while its parent is there to be asked
	environment, err := os.ReadFile(dir + "/environ")
	if err != nil {
		return
	}
	if programOf(pid) != program {
		delete(s.titles, pid) // it became another program or ended meanwhile: whose environment it was is open
		return
	}
	for _, what := range s.secrets.in(environment) {
		if needs {
			s.holders[program]++
		} else {
			s.leaks[fmt.Sprintf("%s in the environment of %s: %q", what, program, title)] = true
		}
	}
}

// note remembers a program of the test with what it was asked to do.
func (s *spy) note(pid int, program, title string) {
	at, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd") // none: it has ended
	if words := strings.Split(title, "\x00"); strings.HasPrefix(program, "lifeboat") && len(words) > 1 {
		program += " " + words[1]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, home := range s.homes {
		if strings.HasPrefix(at, home) || strings.Contains(title, home) {
			s.seen[program] = true
		}
	}
}

func (s *spy) saw(program string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[program]
}

// needsSecrets tells who may have the store's secrets in its environment: the store itself, and a command to which this
// test gave them, also in the moment in which it has split off a process that is about to become another program.
func needsSecrets(pid int, program string) bool {
	for ; program == "lifeboat"; program = programOf(pid) {
		if pid = parentOf(pid); pid == os.Getpid() {
			return true
		}
	}
	return program == "versitygw"
}

func programOf(pid int) string {
	path, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return strings.TrimSuffix(filepath.Base(path), " (deleted)")
}

// parentOf is the fourth field of proc_pid_stat(5), or 0 for a process that has ended.
func parentOf(pid int) int {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

func TestTheSearchFindsASecretHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	const secret = "a+secret/with=odd&characters?~\xc3\xa4"
	search := newSearcher(canary{"secret", secret}, canary{"other", "another-secret"})
	quoted, _ := json.Marshal(secret)
	writer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"plain": []byte(secret), "JSON": quoted, "HTML": []byte(html.EscapeString(secret)), "upper case": []byte(strings.ToUpper(secret)),
		"query": []byte(url.QueryEscape(secret)), "path": []byte(url.PathEscape(secret)), "hex": []byte(hex.EncodeToString([]byte(secret))),
		"compressed": expanded(append([]byte("before"), writer.EncodeAll([]byte("x"+secret), nil)...)),
	}
	for shift := range 7 {
		text := []byte(strings.Repeat("x", shift) + secret + "after")
		cases[fmt.Sprintf("base64 from %d on", shift)] = []byte(base64.StdEncoding.EncodeToString(text))
		cases[fmt.Sprintf("URL's base64 from %d on", shift)] = []byte(base64.URLEncoding.EncodeToString(text))
	}
	for name, text := range cases {
		if found := search.in(slices.Concat([]byte("noise"), text, []byte("noise"))); len(found) != 1 || found[0] != "secret" {
			t.Errorf("%s: found %v in %q", name, found, text)
		}
	}
	if found := search.in([]byte(secret[1:] + " " + secret[:len(secret)-1])); found != nil {
		t.Errorf("found %v in other words", found)
	}
}
