package config

import (
	"testing"
	"time"
)

const before = "repository: {url: 'file:///r'}\nclusters: {main: }\nscheduler:\n  notify:\n"

func TestNotificationsAreRead(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", []byte(before+`    remind: 12h
    webhook: {url: "https://hooks.example/x", secret_file: /etc/lifeboat/hook.secret, ca_file: /ca.pem}
    email: {smtp: "smtps://mail.example", from: lifeboat@example.org, to: [dba@example.org], username: u, password_file: /p}
`))
	if err != nil {
		t.Fatal(err)
	}
	n := c.Scheduler.Notify
	host, port, implicit := n.Email.Server()
	if time.Duration(n.Remind) != 12*time.Hour || n.Webhook.SecretFile.Value != "/etc/lifeboat/hook.secret" || host != "mail.example" || port != "465" || !implicit {
		t.Errorf("%+v, %s %s %v", n, host, port, implicit)
	}
	if c, err = Parse("x", []byte(before+"    email: {smtp: 'smtp://mail.example', from: a@b.c, to: [d@e.f]}\n")); err != nil {
		t.Fatal(err)
	}
	_, port, implicit = c.Scheduler.Notify.Email.Server()
	if port != "587" || implicit || time.Duration(c.Scheduler.Notify.Remind) != 24*time.Hour {
		t.Errorf("defaults: port %s, %v, remind %v", port, implicit, c.Scheduler.Notify.Remind)
	}
}

func TestMistakesInNotificationsAreNamedByLineAndColumn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"no URL":            {"webhook: {url: nonsense?token=x}", "f.yaml:5:20: scheduler.notify.webhook.url is not a URL: write one such as https://hooks.example/lifeboat"},
		"not encrypted":     {"webhook: {url: 'http://hooks.example/x'}", "f.yaml:5:20: scheduler.notify.webhook.url is to be https:// unless it is on this machine"},
		"unknown key":       {"webhook: {uri: x}", "f.yaml:5:15: unknown field \"uri\""},
		"relative secret":   {"webhook: {url: 'https://h/x', secret_file: s}", "f.yaml:5:48: scheduler.notify.webhook.secret_file: \"s\" is not an absolute path"},
		"no mail server":    {"email: {smtp: mail.example, from: a@b.c, to: [a@b.c]}", "f.yaml:5:19: scheduler.notify.email.smtp: \"mail.example\" is not a mail server: write one such as smtp://mail.example:587 or smtps://mail.example:465"},
		"nobody to tell":    {"email: {smtp: 'smtp://h', from: a@b.c}", "f.yaml:5:19: scheduler.notify.email.to names nobody: add addresses such as [dba@example.org]"},
		"no sender":         {"email: {smtp: 'smtp://h', to: [a@b.c]}", "f.yaml:5:19: scheduler.notify.email: \"\" is not a mail address: write from and to such as dba@example.org"},
		"second address":    {"email: {smtp: 'smtp://h', from: a@b.c, to: [a@b.c, \"x\\r\\nBcc: y@z\"]}", "f.yaml:5:56: scheduler.notify.email: \"x\\r\\nBcc: y@z\" is not a mail address: write from and to such as dba@example.org"},
		"user, no password": {"email: {smtp: 'smtp://h', from: a@b.c, to: [a@b.c], username: u}", "f.yaml:5:67: scheduler.notify.email.username needs a password_file"},
		"password, no user": {"email: {smtp: 'smtp://h', from: a@b.c, to: [a@b.c], password_file: /p}", "f.yaml:5:72: scheduler.notify.email.password_file needs a username"},
		"remind never":      {"remind: 0s", "f.yaml:5:13: \"0s\" must be longer than nothing"},
	} {
		_, err := Parse("f.yaml", []byte(before+"    "+c.text+"\n"))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
	}
}
