package tell_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/cmd/internal/tell"
)

// scripted is a channel that keeps what it is told and fails when it is told to.
type scripted struct {
	name string

	mu     sync.Mutex
	away   bool
	got    []tell.Message
	broken int
}

func (s *scripted) Name() string { return s.name }

func (s *scripted) Send(_ context.Context, m tell.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		s.broken++
		return errors.New("away")
	}
	s.got = append(s.got, m)
	return nil
}

// take returns in words what has come since the last call.
func (s *scripted) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var words []string
	for _, m := range s.got {
		for _, c := range m.Changes {
			word := c.Cluster + "/" + c.Subject + "=" + c.State
			if c.Was != "" {
				word += "<" + c.Was
			}
			if c.Reminder {
				word = "still " + c.Cluster + "/" + c.Subject + "=" + c.State
			}
			words = append(words, word)
		}
		words = append(words, ";")
	}
	s.got = nil
	return strings.TrimSuffix(strings.ReplaceAll(strings.Join(words, " "), " ;", ";"), ";")
}

// scene is a teller with its clock.
type scene struct {
	path   string
	now    time.Time
	teller *tell.Teller
	log    bytes.Buffer
}

func newScene(t *testing.T) *scene {
	s := &scene{path: filepath.Join(t.TempDir(), "state", "notifications.json"), now: time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)}
	s.restart()
	return s
}

func (s *scene) restart() {
	s.teller = tell.New(s.path, func() time.Time { return s.now }, slog.New(slog.NewTextHandler(&s.log, nil)))
}

// after lets time pass and then a round go by. Conditions are written as "cluster/subject=state", with "#mark" behind.
func (s *scene) after(t *testing.T, d time.Duration, conditions string, channels ...tell.Channel) {
	t.Helper()
	s.now = s.now.Add(d)
	var list []tell.Condition
	for _, word := range strings.Fields(conditions) {
		word, mark, _ := strings.Cut(word, "#")
		subject, state, _ := strings.Cut(word, "=")
		cluster, subject, ok := strings.Cut(subject, "/")
		if !ok {
			t.Fatalf("%q is no condition", word)
		}
		list = append(list, tell.Condition{Cluster: cluster, Subject: subject, State: state, Mark: mark, Detail: "It is " + state + "."})
	}
	s.teller.Round(t.Context(), list, channels, 24*time.Hour)
}

func TestEachChangeIsToldOnce(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	type step struct {
		after      time.Duration
		conditions string
		told       string
	}
	cases := map[string][]step{
		"good from the start":             {{0, "a/x=pass", ""}, {hour, "a/x=pass", ""}},
		"bad from the start":              {{0, "a/x=fail", "a/x=fail"}, {hour, "a/x=fail", ""}},
		"there and back":                  {{0, "a/x=pass", ""}, {hour, "a/x=fail", "a/x=fail<pass"}, {hour, "a/x=fail", ""}, {hour, "a/x=pass", "a/x=pass<fail"}, {hour, "a/x=pass", ""}},
		"from bad to worse":               {{0, "a/x=warn", "a/x=warn"}, {hour, "a/x=unproven", "a/x=unproven<warn"}, {hour, "a/x=fail", "a/x=fail<unproven"}},
		"several at once are one message": {{0, "a/x=pass a/y=pass", ""}, {hour, "a/x=fail a/y=warn", "a/x=fail<pass a/y=warn<pass"}},
		"another gap":                     {{0, "a/gaps=fail#1", "a/gaps=fail"}, {hour, "a/gaps=fail#2", "a/gaps=fail<fail"}, {hour, "a/gaps=fail#2", ""}},
		"a mark of the good":              {{0, "a/x=pass#1", ""}, {hour, "a/x=pass#2", ""}},
		"reminded daily":                  {{0, "a/x=fail", "a/x=fail"}, {23 * hour, "a/x=fail", ""}, {hour, "a/x=fail", "still a/x=fail"}, {23 * hour, "a/x=fail", ""}, {hour, "a/x=fail", "still a/x=fail"}},
		"reminders come together": {
			{0, "a/x=fail a/y=pass a/z=pass", "a/x=fail"}, {6 * hour, "a/x=fail a/y=fail a/z=pass", "a/y=fail<pass"}, {17 * hour, "a/x=fail a/y=fail a/z=fail", "a/z=fail<pass"},
			{hour, "a/x=fail a/y=fail a/z=fail", "still a/x=fail still a/y=fail"},
		},
		"who is not mentioned stays as it was": {{0, "a/x=fail b/x=pass", "a/x=fail"}, {hour, "b/x=pass", ""}, {hour, "a/x=fail b/x=pass", ""}, {hour, "a/x=pass", "a/x=pass<fail"}},
		"not reminded of who is not mentioned": {{0, "a/x=fail", "a/x=fail"}, {30 * hour, "", ""}},
		"a clock set back a lot":               {{0, "a/x=fail", "a/x=fail"}, {-100 * hour, "a/x=fail", "still a/x=fail"}, {hour, "a/x=fail", ""}},
	}
	for name, steps := range cases {
		for _, restarts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarts %v", name, restarts), func(t *testing.T) {
				t.Parallel()
				s, c := newScene(t), &scripted{name: "webhook"}
				s.after(t, 0, "", c)
				for i, step := range steps {
					if restarts {
						s.restart()
					}
					s.after(t, step.after, step.conditions, c)
					if got := c.take(); got != step.told {
						t.Errorf("step %d: told %q, want %q", i+1, got, step.told)
					}
				}
			})
		}
	}
}

func TestWhatCannotBeDeliveredIsKept(t *testing.T) {
	t.Parallel()
	s, hook, mail := newScene(t), &scripted{name: "webhook", away: true}, &scripted{name: "email"}
	s.after(t, 0, "a/x=pass", hook, mail)
	s.after(t, time.Minute, "a/x=fail", hook, mail)
	s.after(t, time.Minute, "a/x=pass", hook, mail)
	if got := mail.take(); got != "a/x=fail<pass; a/x=pass<fail" {
		t.Errorf("the channel that works was told %q", got)
	}
	s.restart()
	if waiting := s.teller.Backlogs()["webhook"].Waiting; waiting != 2 {
		t.Errorf("%d changes wait after a restart", waiting)
	}
	hook.away = false
	s.after(t, time.Second, "a/x=pass", hook, mail)
	if hook.broken != 2 || hook.take() != "" {
		t.Errorf("it was asked again after a second")
	}
	s.after(t, time.Hour, "a/x=pass", hook, mail)
	if got := hook.take(); got != "a/x=fail<pass a/x=pass<fail" {
		t.Errorf("when it was back it was told %q", got)
	}
	s.after(t, time.Hour, "a/x=pass", hook, mail)
	if got := hook.take() + mail.take(); got != "" {
		t.Errorf("and then again %q", got)
	}
}

func TestAWebhookThatIsAwayForLongIsToldTheSum(t *testing.T) {
	t.Parallel()
	s, c := newScene(t), &scripted{name: "webhook", away: true}
	s.after(t, 0, "a/x=pass b/x=fail", c)
	for i := range 240 {
		s.after(t, time.Minute, "a/x="+[]string{"fail", "pass"}[i%2]+" b/x=fail", c)
	}
	if waiting := s.teller.Backlogs()["webhook"].Waiting; waiting > 100 {
		t.Errorf("%d changes wait", waiting)
	}
	if c.broken > 30 {
		t.Errorf("it was asked %d times in 4 hours", c.broken)
	}
	c.away = false
	s.after(t, time.Hour, "a/x=fail b/x=fail", c)
	got := c.take()
	for _, want := range []string{"b/x=fail", "a/x=pass<", "a/x=fail<pass"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not told: %s", want, got)
		}
	}
}

func TestALostOrBrokenMemoryTellsOnceMore(t *testing.T) {
	t.Parallel()
	damages := map[string]func(path string) error{
		"lost":            os.Remove,
		"empty":           func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"cut off":         func(p string) error { return os.Truncate(p, 40) },
		"another version": func(p string) error { return os.WriteFile(p, []byte(`{"version": 9}`), 0o600) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newScene(t), &scripted{name: "webhook"}
			s.after(t, 0, "a/x=fail a/y=pass", c)
			c.take()
			if err := damage(s.path); err != nil {
				t.Fatal(err)
			}
			s.restart()
			s.after(t, time.Minute, "a/x=fail a/y=pass", c)
			if got := c.take(); got != "a/x=fail" {
				t.Errorf("told %q", got)
			}
		})
	}
}

func TestAMemoryThatCannotBeWrittenSilencesNothing(t *testing.T) {
	t.Parallel()
	s, c := newScene(t), &scripted{name: "webhook"}
	if err := os.WriteFile(filepath.Dir(s.path), nil, 0o600); err != nil { // a file where the directory is to be
		t.Fatal(err)
	}
	s.after(t, 0, "a/x=fail", c)
	if got := c.take(); got != "a/x=fail" || !strings.Contains(s.log.String(), "not remembered") {
		t.Errorf("told %q, log: %s", got, s.log.String())
	}
}

func TestANewChannelHearsWhatIsBad(t *testing.T) {
	t.Parallel()
	s, hook, mail := newScene(t), &scripted{name: "webhook"}, &scripted{name: "email"}
	s.after(t, 0, "a/x=fail a/y=pass", hook)
	s.after(t, time.Minute, "a/x=fail a/y=pass", hook, mail)
	if got := mail.take(); got != "a/x=fail" {
		t.Errorf("told %q", got)
	}
}

// spying is a channel that looks at what is remembered while it sends.
type spying struct {
	path string
	saw  string
}

func (*spying) Name() string { return "webhook" }

func (s *spying) Send(context.Context, tell.Message) error {
	raw, err := os.ReadFile(s.path)
	s.saw = string(raw)
	return err
}

func TestWhatIsToldIsWrittenDownBefore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	spy := &spying{path: s.path}
	s.after(t, 0, "a/x=fail", spy)
	if !strings.Contains(spy.saw, `"waiting":[{"cluster":"a"`) {
		t.Errorf("while it was sent there was %s", spy.saw)
	}
	if raw, err := os.ReadFile(s.path); err != nil || strings.Contains(string(raw), `"waiting":[{`) {
		t.Errorf("afterwards there is %s, %v", raw, err)
	}
}
