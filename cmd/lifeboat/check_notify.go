package main

import (
	"io/fs"
	"os"
	"strings"
)

// checkNotifications looks whether what notifications need can be read. It sends nothing.
func (k *checker) checkNotifications() {
	n := &k.scene.settings.Scheduler.Notify
	var ways, secrets, others []string
	if w := n.Webhook; w != nil {
		ways, secrets, others = append(ways, "by webhook"), append(secrets, w.SecretFile.Value), append(others, w.CAFile.Value)
	}
	if e := n.Email; e != nil {
		ways, secrets, others = append(ways, "by e-mail"), append(secrets, e.PasswordFile.Value), append(others, e.CAFile.Value)
	}
	if len(ways) == 0 {
		return
	}
	sound := true
	for _, path := range append(secrets, others...) {
		sound = k.checkReadable(path) && sound
	}
	for _, path := range secrets {
		sound = k.checkPrivate(path) && sound
	}
	if sound {
		k.add("notifications", "pass", "", "%s; nothing was sent", strings.Join(ways, " and "))
	}
}

// checkReadable finds fault with a file that this user cannot read; an empty path is none.
func (k *checker) checkReadable(path string) bool {
	if path == "" {
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		k.add("notifications", "fail", "let the user of the scheduler read it, or correct scheduler.notify", "%v", err)
		return false
	}
	defer f.Close()
	return true
}

// checkPrivate finds fault with a secret that everybody on the machine can read.
func (k *checker) checkPrivate(path string) bool {
	const everybody fs.FileMode = 0o007
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&everybody == 0 { // one that is not there is told already
		return true
	}
	k.add("notifications", "warn", "chmod 600 "+path, "%s can be read by everybody on this machine", path)
	return false
}
