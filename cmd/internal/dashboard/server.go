package dashboard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
)

// ErrNoDrill says that there is no evidence of such a drill.
var ErrNoDrill = errors.New("there is no such drill")

// Source is where the pages come from. Both are called for each request, at the same time.
type Source interface {
	// Page is what is known now. It does not wait for a repository.
	Page() *Page
	// Report writes a drill's report as one page that needs nothing but itself. The error is [ErrNoDrill] where the
	// cluster, which is one of Page, has no such drill.
	Report(ctx context.Context, w io.Writer, cluster, id string) error
}

// Server answers for the pages: "/", "/clusters/NAME" and "/drills/CLUSTER/ID". Nothing there changes anything.
type Server struct {
	source   Source
	renderer *Renderer
	log      *slog.Logger
}

// NewServer makes the pages' handler. It is to be guarded by [Guard].
func NewServer(source Source, log *slog.Logger) (*Server, error) {
	renderer, err := NewRenderer()
	if err != nil {
		return nil, err
	}
	return &Server{source: source, renderer: renderer, log: log}, nil
}

// Routes adds the pages to a mux. What else the mux does not know is answered by a page that says so.
func (s *Server) Routes(mux *http.ServeMux) {
	mux.HandleFunc("/{$}", s.overview)
	mux.HandleFunc("/clusters/{name}", s.cluster)
	mux.HandleFunc("/drills/{cluster}/{id}", s.report)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { s.missing(w, "There is no such page here.") })
}

func (s *Server) overview(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, func(w io.Writer) error { return s.renderer.Overview(w, s.source.Page()) })
}

func (s *Server) cluster(w http.ResponseWriter, r *http.Request) {
	page := s.source.Page()
	c := page.Cluster(r.PathValue("name"))
	if c == nil {
		s.missing(w, fmt.Sprintf("No cluster is called %q in the scheduler's configuration.", r.PathValue("name")))
		return
	}
	s.answer(w, http.StatusOK, func(w io.Writer) error { return s.renderer.ClusterPage(w, page, c) })
}

func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	name, id := r.PathValue("cluster"), r.PathValue("id")
	if s.source.Page().Cluster(name) == nil {
		s.missing(w, fmt.Sprintf("No cluster is called %q in the scheduler's configuration.", name))
		return
	}
	var body bytes.Buffer
	err := s.source.Report(r.Context(), &body, name, id)
	switch {
	case errors.Is(err, ErrNoDrill):
		s.missing(w, fmt.Sprintf("Cluster %s has no evidence of a drill %q.", name, id))
	case err != nil:
		s.log.Warn("a drill's report cannot be shown", "cluster", name, "error", err)
		s.tell(w, http.StatusBadGateway, "The report cannot be shown", "Its evidence cannot be read now. The scheduler's log says why.")
	default:
		// The report brings a style of its own, in a form that no hash fits. It holds nothing but escaped words.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox")
		s.send(w, http.StatusOK, body.Bytes())
	}
}

func (s *Server) missing(w http.ResponseWriter, text string) {
	s.tell(w, http.StatusNotFound, "Not found", text)
}

func (s *Server) tell(w http.ResponseWriter, code int, title, text string) {
	s.answer(w, code, func(w io.Writer) error { return s.renderer.Message(w, title, text) })
}

// answer renders a page whole before the first byte is sent, so that half a page is never taken for one.
func (s *Server) answer(w http.ResponseWriter, code int, render func(io.Writer) error) {
	var body bytes.Buffer
	if err := render(&body); err != nil {
		s.log.Error("a page cannot be rendered", "error", err)
		http.Error(w, "the page cannot be rendered; the scheduler's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src '"+s.renderer.styleHash+
		"'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	s.send(w, code, body.Bytes())
}

func (s *Server) send(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(body) // who asked may have gone away
}

// Guard stands before everything that is shown over HTTP: it lets only GET and HEAD through, forbids other sites to frame or sniff
// what is shown, and, where it listens on loopback, answers only those who asked for loopback. A site on the Internet
// whose name its owner lets point to 127.0.0.1 is thereby refused.
func Guard(listen net.Addr, next http.Handler) http.Handler {
	local := isLoopback(listen)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "nothing can be changed here", http.StatusMethodNotAllowed)
		case local && !namesLoopback(r.Host):
			http.Error(w, "this is answered for localhost only", http.StatusMisdirectedRequest)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// namesLoopback says whether a Host header means this machine.
func namesLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
