package tell_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/cmd/internal/tell"
)

// mailServer speaks as much SMTP as a mail needs, and as badly as a test asks.
type mailServer struct {
	host, port string
	roots      *x509.CertPool

	tls      *tls.Config
	implicit bool
	noTLS    bool
	answers  map[string]string // to a verb, in place of the good one; "hang": none

	mu    sync.Mutex
	mails []string
	to    []string
	login string
	plain bool // a mail came without TLS
}

func startMail(t *testing.T, change func(*mailServer)) *mailServer {
	t.Helper()
	s := &mailServer{answers: map[string]string{}}
	s.certify(t)
	change(s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.host, s.port, _ = net.SplitHostPort(listener.Addr().String())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.talk(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); conns.Wait() })
	return s
}

func (s *mailServer) certify(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wanted := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, wanted, wanted, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(certificate)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
}

func (s *mailServer) talk(conn net.Conn) {
	defer conn.Close()
	secure := s.implicit
	if secure {
		conn = tls.Server(conn, s.tls)
	}
	lines := bufio.NewReader(conn)
	say := func(text string) { _, _ = fmt.Fprintf(conn, "%s\r\n", text) }
	say("220 here")
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.Fields(line + " x")[0])
		s.mu.Lock()
		other := s.answers[verb]
		if verb == "RCPT" && other != "" && !strings.Contains(line, "refused@") {
			other = ""
		}
		s.mu.Unlock()
		if other == "hang" {
			_, _ = io.Copy(io.Discard, lines)
			return
		}
		if other != "" {
			say(other)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-here")
			if !secure && !s.noTLS {
				say("250-STARTTLS")
			}
			say("250-AUTH PLAIN")
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go")
			conn, secure = tls.Server(conn, s.tls), true
			lines = bufio.NewReader(conn)
		case "AUTH":
			s.mu.Lock()
			s.login = strings.Fields(line)[2]
			s.mu.Unlock()
			say("235 welcome")
		case "DATA":
			say("354 go on")
			s.receive(lines, secure)
			say("250 taken")
		case "RCPT":
			s.mu.Lock()
			s.to = append(s.to, strings.TrimSpace(line))
			s.mu.Unlock()
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *mailServer) receive(lines *bufio.Reader, secure bool) {
	var b strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails, s.plain = append(s.mails, b.String()), !secure
}

func (s *mailServer) channel(t *testing.T) *tell.Email {
	return &tell.Email{
		Host: s.host, Port: s.port, ImplicitTLS: s.implicit, Roots: s.roots, From: "lifeboat@example.org", To: []string{"dba@example.org", "boss@example.org"},
		Username: "lifeboat", PasswordFile: secretFile(t),
	}
}

func TestMailArrives(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*mailServer){
		"STARTTLS": func(*mailServer) {}, "TLS from the first byte": func(s *mailServer) { s.implicit = true },
	} {
		s := startMail(t, change)
		sc := newScene(t)
		sc.after(t, 0, "billing/nightly=pass shop/gäps=pass", s.channel(t))
		sc.after(t, time.Minute, "billing/nightly=fail shop/gäps=unproven", s.channel(t))
		if len(s.mails) != 1 || s.plain {
			t.Fatalf("%s: %d mails, in the clear: %v; log: %s", name, len(s.mails), s.plain, sc.log.String())
		}
		m, err := mail.ReadMessage(strings.NewReader(s.mails[0]))
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, s.mails[0])
		}
		body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Subject") != "Lifeboat: 1 fail, 1 unproven" || m.Header.Get("To") != "dba@example.org, boss@example.org" || m.Header.Get("Message-Id") == "" {
			t.Errorf("%s: header %v", name, m.Header)
		}
		for _, words := range []string{"FAIL: cluster billing, nightly, was pass. It is fail.", "UNPROVEN: cluster shop, gäps, was pass."} {
			if !strings.Contains(string(body), words) {
				t.Errorf("%s: the mail does not say %q:\n%s", name, words, body)
			}
		}
		if login, _ := base64.StdEncoding.DecodeString(s.login); string(login) != "\x00lifeboat\x00"+secret || len(s.to) != 2 {
			t.Errorf("%s: login %q, to %v", name, login, s.to)
		}
	}
}

func TestMailThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*mailServer)
		says   string
	}{
		"refuses the sender":    {func(s *mailServer) { s.answers["MAIL"] = "550 not you" }, "not you"},
		"refuses the login":     {func(s *mailServer) { s.answers["AUTH"] = "535 wrong password" }, "wrong password"},
		"refuses the mail":      {func(s *mailServer) { s.answers["DATA"] = "451 try later" }, "try later"},
		"hangs":                 {func(s *mailServer) { s.answers["MAIL"] = "hang" }, "timeout"},
		"hangs at hello":        {func(s *mailServer) { s.answers["EHLO"] = "hang" }, "timeout"},
		"nobody trusts it":      {func(s *mailServer) { s.roots = x509.NewCertPool() }, "certificate"},
		"STARTTLS is a promise": {func(s *mailServer) { s.answers["STARTTLS"] = "454 not now" }, "not now"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startMail(t, c.change)
			patience := time.Minute
			if c.says == "timeout" {
				patience = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := s.channel(t).Send(ctx, tell.TestMessage(time.Unix(1e9, 0)))
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret) {
				t.Errorf("%v", err)
			}
			if len(s.mails) > 0 {
				t.Error("a mail arrived")
			}
		})
	}
}

func TestOneWrongAddressKeepsNobodyElseFromTheMail(t *testing.T) {
	t.Parallel()
	s := startMail(t, func(s *mailServer) { s.answers["RCPT"] = "550 no such user" })
	e := s.channel(t)
	e.To = []string{"refused@example.org", "dba@example.org"}
	if err := e.Send(t.Context(), tell.TestMessage(time.Unix(1e9, 0))); err != nil {
		t.Fatal(err)
	}
	if len(s.mails) != 1 || !strings.Contains(s.mails[0], "did not take this for everybody") {
		t.Errorf("%q", s.mails)
	}
	e.To = e.To[:1]
	if err := e.Send(t.Context(), tell.TestMessage(time.Unix(1e9, 0))); err == nil {
		t.Error("a mail for nobody counts as sent")
	}
}

func TestPlainMailGoesToThisMachineOnly(t *testing.T) {
	t.Parallel()
	s := startMail(t, func(s *mailServer) { s.noTLS = true })
	e := s.channel(t)
	e.Username, e.PasswordFile = "", ""
	if err := e.Send(t.Context(), tell.TestMessage(time.Unix(1e9, 0))); err != nil || !s.plain {
		t.Errorf("to this machine: %v", err)
	}
}
