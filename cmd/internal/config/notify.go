package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"path/filepath"
	"time"
)

// Notify says who is told when something changes for the worse or the better, and how often of what stays bad.
type Notify struct {
	Webhook *Webhook `yaml:"webhook"`
	Email   *Email   `yaml:"email"`
	Remind  Duration `yaml:"remind"`
}

// Webhook is an address that takes messages as JSON.
type Webhook struct {
	URL        Text `yaml:"url"`
	SecretFile Text `yaml:"secret_file"` // what messages are signed with; they are not where it is left out
	CAFile     Text `yaml:"ca_file"`     // authorities that are trusted besides the system's
}

// Email is a mail server and those who get mail.
type Email struct {
	SMTP         Text   `yaml:"smtp"` // smtp://host:587, with STARTTLS, or smtps://host:465
	From         Text   `yaml:"from"`
	To           []Text `yaml:"to"`
	Username     Text   `yaml:"username"`
	PasswordFile Text   `yaml:"password_file"`
	CAFile       Text   `yaml:"ca_file"`
}

const defaultRemind = Duration(24 * time.Hour)

// Server is the mail server's host and port, and whether TLS begins with the first byte.
func (e *Email) Server() (host, port string, implicitTLS bool) {
	u, err := url.Parse(e.SMTP.Value)
	if err != nil {
		return "", "", false // validated: does not happen
	}
	implicitTLS = u.Scheme == "smtps"
	port = u.Port()
	switch {
	case port == "" && implicitTLS:
		port = "465"
	case port == "":
		port = "587"
	}
	return u.Hostname(), port, implicitTLS
}

// validate finds the first mistake.
func (n *Notify) validate() error {
	if n.Webhook != nil {
		if err := n.Webhook.validate(); err != nil {
			return err
		}
	}
	if n.Email != nil {
		return n.Email.validate()
	}
	return nil
}

func (w *Webhook) validate() error {
	const key = "scheduler.notify.webhook"
	u, err := url.Parse(w.URL.Value)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		// The URL itself may hold a token.
		return &Error{At: w.URL.At, Message: key + ".url is not a URL: write one such as https://hooks.example/lifeboat"}
	}
	if u.Scheme == "http" && !onLoopback(u.Hostname()) {
		return &Error{At: w.URL.At, Message: key + ".url is to be https:// unless it is on this machine"}
	}
	return absolutePaths(key, map[string]Text{"secret_file": w.SecretFile, "ca_file": w.CAFile})
}

func (e *Email) validate() error {
	const key = "scheduler.notify.email"
	u, err := url.Parse(e.SMTP.Value)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return &Error{At: e.SMTP.At, Message: fmt.Sprintf("%s.smtp: %q is not a mail server: write one such as smtp://mail.example:587 or smtps://mail.example:465", key, e.SMTP.Value)}
	}
	if err := e.validateAddresses(key); err != nil {
		return err
	}
	switch {
	case e.Username.Value != "" && e.PasswordFile.Value == "":
		return &Error{At: e.Username.At, Message: key + ".username needs a password_file"}
	case e.Username.Value == "" && e.PasswordFile.Value != "":
		return &Error{At: e.PasswordFile.At, Message: key + ".password_file needs a username"}
	}
	return absolutePaths(key, map[string]Text{"password_file": e.PasswordFile, "ca_file": e.CAFile})
}

func (e *Email) validateAddresses(key string) error {
	if len(e.To) == 0 {
		return &Error{At: e.SMTP.At, Message: key + ".to names nobody: add addresses such as [dba@example.org]"}
	}
	for _, a := range append([]Text{e.From}, e.To...) {
		parsed, err := mail.ParseAddress(a.Value)
		if err != nil || parsed.Address != a.Value {
			place := a.At
			if place.Line == 0 {
				place = e.SMTP.At
			}
			return &Error{At: place, Message: fmt.Sprintf("%s: %q is not a mail address: write from and to such as dba@example.org", key, a.Value)}
		}
	}
	return nil
}

func absolutePaths(key string, files map[string]Text) error {
	for name, file := range files {
		if file.Value != "" && !filepath.IsAbs(file.Value) {
			return &Error{At: file.At, Message: fmt.Sprintf("%s.%s: %q is not an absolute path", key, name, file.Value)}
		}
	}
	return nil
}

func onLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
