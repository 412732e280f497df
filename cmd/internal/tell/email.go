package tell

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"strings"
	"time"
)

// Email sends messages by SMTP (RFC 5321).
type Email struct {
	Host         string
	Port         string
	ImplicitTLS  bool // from the first byte (RFC 8314); else by STARTTLS, without which nothing is sent but to this machine
	From         string
	To           []string
	Username     string // empty: nobody logs in
	PasswordFile string // read for each message
	Roots        *x509.CertPool
}

// Name implements Channel.
func (*Email) Name() string { return "email" }

// Send implements Channel.
func (e *Email) Send(ctx context.Context, m Message) error {
	if err := e.send(ctx, m); err != nil {
		return fmt.Errorf("mail by %s: %w", e.Host, err)
	}
	return nil
}

func (e *Email) send(ctx context.Context, m Message) error {
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // whoever reads or writes is told
	defer stop()
	c, err := smtp.NewClient(conn, e.Host)
	if err != nil {
		return err
	}
	if err := e.secure(c); err != nil {
		return err
	}
	if err := e.login(c); err != nil {
		return err
	}
	return e.deliver(c, m)
}

func (e *Email) dial(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(e.Host, e.Port)
	if e.ImplicitTLS {
		return (&tls.Dialer{Config: e.tls()}).DialContext(ctx, "tcp", address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

func (e *Email) tls() *tls.Config {
	return &tls.Config{ServerName: e.Host, RootCAs: e.Roots, MinVersion: tls.VersionTLS12}
}

func (e *Email) secure(c *smtp.Client) error {
	if err := c.Hello("localhost"); err != nil {
		return err
	}
	if e.ImplicitTLS {
		return nil
	}
	if offered, _ := c.Extension("STARTTLS"); offered {
		return c.StartTLS(e.tls())
	}
	if ip := net.ParseIP(e.Host); e.Host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return errors.New("it offers no STARTTLS, and nothing is sent without")
}

func (e *Email) login(c *smtp.Client) error {
	if e.Username == "" {
		return nil
	}
	password, err := readSecret(e.PasswordFile)
	if err != nil {
		return err
	}
	return c.Auth(smtp.PlainAuth("", e.Username, password, e.Host))
}

// deliver hands the message to all who are accepted, and tells them who is not.
func (e *Email) deliver(c *smtp.Client, m Message) error {
	if err := c.Mail(e.From); err != nil {
		return err
	}
	var refused []error
	for _, to := range e.To {
		if err := c.Rcpt(to); err != nil {
			refused = append(refused, fmt.Errorf("%s is refused: %w", to, err))
		}
	}
	if len(refused) == len(e.To) {
		return errors.Join(refused...)
	}
	for _, r := range refused {
		m.Text += "\nThe mail server did not take this for everybody: " + r.Error()
	}
	body, err := e.compose(m)
	if err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil { // the server takes it over with its answer to the end
		return err
	}
	_ = c.Quit() // the message is delivered whatever comes of it
	return nil
}

// compose writes the message as RFC 5322 and MIME have it.
func (e *Email) compose(m Message) ([]byte, error) {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(e.From, "@")
	for _, header := range [][2]string{
		{"From", e.From}, {"To", strings.Join(e.To, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", m.subjectLine())},
		{"Date", m.Sent.Format(time.RFC1123Z)}, {"Message-ID", "<" + m.ID + "@" + domain + ">"}, {"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", header[0], header[1])
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, err := w.Write([]byte(strings.ReplaceAll(m.Text, "\n", "\r\n\r\n") + "\r\n"))
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("write a mail: %w", err)
	}
	return b.Bytes(), nil
}
