// Package tell notifies people and programs when what a scheduler watches changes for the worse or for the better.
//
// It tells at least once: what is to be told is written down before it is sent, and taken off when the other side has said that
// it has it. Of one change there is one message, and a reminder now and then while something stays bad.
package tell

import (
	"cmp"
	"slices"
	"time"
)

// Condition is how one subject of one cluster is now.
type Condition struct {
	Cluster string
	Subject string // such as "drill nightly" or "gaps"
	State   string // pass, warn, fail or unproven
	Mark    string // what is bad; where it changes while State stays, that is a change, too
	Detail  string // one or more sentences; empty where it is good
}

// good is the state that nobody is told of unless it was another before.
const good = "pass"

// Change is what is told about one subject.
type Change struct {
	Cluster  string    `json:"cluster"`
	Subject  string    `json:"subject"`
	State    string    `json:"state"`
	Was      string    `json:"was,omitempty"` // empty: not known
	Since    time.Time `json:"since"`         // when it was first seen in this state
	Reminder bool      `json:"reminder"`      // nothing has changed; it is still so
	Detail   string    `json:"detail,omitempty"`
}

// subject is what is remembered of one.
type subject struct {
	Cluster string    `json:"cluster"`
	Subject string    `json:"subject"`
	State   string    `json:"state"`
	Mark    string    `json:"mark,omitempty"`
	Since   time.Time `json:"since"`
	Told    time.Time `json:"told"` // or reminded of
	Seen    time.Time `json:"seen"` // among the conditions
}

// forgetAfter is how long a subject is remembered that is no longer among the conditions.
const forgetAfter = 30 * 24 * time.Hour

// note takes the conditions of this moment and returns what there is to tell. Subjects that are not among them stay as they
// were.
func (m *memory) note(now time.Time, conditions []Condition, remind time.Duration) []Change {
	var changes []Change
	for _, c := range conditions {
		if change, told := m.compare(now, c); told {
			changes = append(changes, change)
		}
	}
	changes = append(changes, m.reminders(now, conditions, remind)...)
	m.Subjects = slices.DeleteFunc(m.Subjects, func(s *subject) bool { return now.Sub(s.Seen) > forgetAfter })
	return changes
}

// compare is the change of one subject, if there is one.
func (m *memory) compare(now time.Time, c Condition) (Change, bool) {
	s := m.subject(c)
	was := s.State
	s.Seen = now
	if was == c.State && (s.Mark == c.Mark || c.State == good) {
		return Change{}, false
	}
	if was != c.State {
		s.Since = now
	}
	s.State, s.Mark, s.Told = c.State, c.Mark, now
	if was == "" && c.State == good {
		return Change{}, false
	}
	return Change{Cluster: c.Cluster, Subject: c.Subject, State: c.State, Was: was, Since: s.Since, Detail: c.Detail}, true
}

// reminders are of all that is bad and was told of long ago. Where one is due, those come along that soon would be.
func (m *memory) reminders(now time.Time, conditions []Condition, remind time.Duration) []Change {
	var due, soon []Change
	for _, c := range conditions {
		s := m.subject(c)
		silent := now.Sub(s.Told).Abs() // a clock that was set back must not silence anything for long
		if c.State == good || silent < remind/2 {
			continue
		}
		change := Change{Cluster: c.Cluster, Subject: c.Subject, State: c.State, Was: c.State, Since: s.Since, Reminder: true, Detail: c.Detail}
		soon = append(soon, change)
		if silent >= remind {
			due = append(due, change)
		}
	}
	if len(due) == 0 {
		return nil
	}
	for _, c := range soon {
		m.find(c.Cluster, c.Subject).Told = now
	}
	return soon
}

// bad is what there is to tell somebody who was told nothing yet.
func (m *memory) bad(conditions []Condition) []Change {
	var list []Change
	for _, c := range conditions {
		if c.State != good {
			list = append(list, Change{Cluster: c.Cluster, Subject: c.Subject, State: c.State, Since: m.subject(c).Since, Detail: c.Detail})
		}
	}
	return list
}

func (m *memory) find(cluster, name string) *subject {
	for _, s := range m.Subjects {
		if s.Cluster == cluster && s.Subject == name {
			return s
		}
	}
	return nil
}

// subject finds what is remembered of a condition's subject, and begins to where nothing is.
func (m *memory) subject(c Condition) *subject {
	s := m.find(c.Cluster, c.Subject)
	if s == nil {
		s = &subject{Cluster: c.Cluster, Subject: c.Subject}
		m.Subjects = append(m.Subjects, s)
	}
	return s
}

// mostWaiting is how many changes wait for one channel before they are summed up.
const mostWaiting = 100

// sumUp leaves the newest change of each subject, where too many wait.
func sumUp(changes []Change) []Change {
	if len(changes) <= mostWaiting {
		return changes
	}
	type key struct{ cluster, subject string }
	at := map[key]int{}
	var short []Change
	for _, c := range changes {
		k := key{c.Cluster, c.Subject}
		i, known := at[k]
		if !known {
			at[k] = len(short)
			short = append(short, c)
			continue
		}
		c.Was = cmp.Or(short[i].Was, c.Was)
		c.Reminder = c.Reminder && short[i].Reminder
		short[i] = c
	}
	return short
}
