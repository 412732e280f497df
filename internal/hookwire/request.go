package hookwire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// greeting begins every request. Its number changes with the meaning of what follows.
const greeting = "lifeboat 1"

// maxLine is the longest line that is read or written, in bytes, its end included.
const maxLine = 16 << 10

// Op is what a request asks for.
type Op string

// The operations.
const (
	Push  Op = "push"  // make the file at Path durable in the repository
	Fetch Op = "fetch" // put the WAL file Name to Path
	Ping  Op = "ping"  // say that somebody is there
	Hand  Op = "hand"  // hand over the WAL file Name, opened for reading, with the answer (unix(7), SCM_RIGHTS)
)

// Request is one thing that a hook asks for.
type Request struct {
	Op      Op
	Config  string // absolute path of the configuration that the hook was given; empty in a Hand, which has none
	Cluster string // name in it; empty where it has only one
	Name    string // of the WAL file; only of Fetch and Hand
	Path    string // absolute: the file to push, or where the fetched one goes; empty in a Ping and a Hand
}

func (r Request) check() error {
	if r.Op == Hand {
		return r.checkHand()
	}
	if !filepath.IsAbs(r.Config) {
		return fmt.Errorf("the configuration %q is not an absolute path", r.Config)
	}
	switch r.Op {
	case Ping:
		if r.Name != "" || r.Path != "" {
			return fmt.Errorf("a %s names no file", r.Op)
		}
		return nil
	case Push, Fetch:
		if !filepath.IsAbs(r.Path) {
			return fmt.Errorf("%q is not an absolute path", r.Path)
		}
		if (r.Op == Fetch) != (r.Name != "") {
			return fmt.Errorf("the name of a WAL file belongs to a %s only", Fetch)
		}
		return nil
	}
	return fmt.Errorf("there is no operation %q", r.Op)
}

func (r Request) checkHand() error {
	if r.Name == "" || r.Config != "" || r.Cluster != "" || r.Path != "" {
		return fmt.Errorf("a %s says the name of a WAL file, and nothing else", Hand)
	}
	return nil
}

// WriteRequest sends a request in one write.
func WriteRequest(w io.Writer, r Request) error {
	if err := r.check(); err != nil {
		return err
	}
	return writeLine(w, greeting, string(r.Op), r.Config, r.Cluster, r.Name, r.Path)
}

// ReadRequest reads what WriteRequest wrote. Whatever else comes is an error.
func ReadRequest(r *bufio.Reader) (Request, error) {
	fields, err := readLine(r)
	if err != nil {
		return Request{}, err
	}
	if len(fields) != 6 || fields[0] != greeting {
		return Request{}, fmt.Errorf("not a request of %q", greeting)
	}
	request := Request{Op: Op(fields[1]), Config: fields[2], Cluster: fields[3], Name: fields[4], Path: fields[5]}
	return request, request.check()
}

// writeLine writes quoted fields, separated by tabs: a path may hold any byte but zero.
func writeLine(w io.Writer, fields ...string) error {
	var line []byte
	for i, field := range fields {
		if i > 0 {
			line = append(line, '\t')
		}
		line = strconv.AppendQuoteToASCII(line, field)
	}
	line = append(line, '\n')
	if len(line) > maxLine {
		return fmt.Errorf("a line of %d bytes is longer than the %d allowed", len(line), maxLine)
	}
	_, err := w.Write(line)
	return err
}

func readLine(r *bufio.Reader) ([]string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("a line is longer than %d bytes", maxLine)
		}
		if err == nil {
			break
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
	fields := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
	for i, quoted := range fields {
		field, err := strconv.Unquote(quoted)
		if err != nil || strconv.QuoteToASCII(field) != quoted {
			return nil, fmt.Errorf("field %d is not quoted as it should be", i+1)
		}
		fields[i] = field
	}
	return fields, nil
}
