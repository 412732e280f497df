package tell

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Message is what is sent: all changes that wait for a channel.
type Message struct {
	ID      string    `json:"id"`   // the same when the same changes are sent again
	Sent    time.Time `json:"sent"` // this time
	Text    string    `json:"text"` // all of it in words
	Changes []Change  `json:"changes"`
}

// TestMessage is one that tries a channel.
func TestMessage(now time.Time) Message {
	return newMessage([]Change{{
		Cluster: "none", Subject: "test", State: good, Since: now.UTC(), Detail: "This is a test: notifications of Lifeboat arrive.",
	}}, now)
}

func newMessage(changes []Change, now time.Time) Message {
	raw, err := json.Marshal(changes)
	if err != nil {
		raw = []byte(now.String()) // times out of any calendar: the message is told apart by when it is sent
	}
	sum := sha256.Sum256(raw)
	lines := make([]string, 0, len(changes))
	for _, c := range changes {
		lines = append(lines, c.String())
	}
	return Message{ID: hex.EncodeToString(sum[:16]), Sent: now.UTC(), Text: strings.Join(lines, "\n"), Changes: changes}
}

// String is the change in a sentence or two.
func (c Change) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: cluster %s, %s", strings.ToUpper(c.State), c.Cluster, c.Subject)
	switch {
	case c.Reminder:
		fmt.Fprintf(&b, ", still so since %s", c.Since.UTC().Format("2006-01-02 15:04 UTC"))
	case c.Was != "" && c.Was != c.State:
		fmt.Fprintf(&b, ", was %s", c.Was)
	}
	if c.Detail != "" {
		b.WriteString(". " + c.Detail)
	}
	return b.String()
}

// subjectLine is the message in a few words.
func (m Message) subjectLine() string {
	if len(m.Changes) == 1 {
		c := m.Changes[0]
		return fmt.Sprintf("Lifeboat: %s: %s, %s", c.State, c.Cluster, c.Subject)
	}
	counted := map[string]int{}
	for _, c := range m.Changes {
		counted[c.State]++
	}
	var parts []string
	for _, state := range []string{"fail", "unproven", "warn", good} {
		if counted[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counted[state], state))
		}
	}
	return "Lifeboat: " + strings.Join(parts, ", ")
}
