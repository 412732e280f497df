package drill_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
	"lifeboat/restore"
)

// TestWhatWasAskedStandsInTheEvidence drills to targets in words.
func TestWhatWasAskedStandsInTheEvidence(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.Newest(t), nil)
	s.quietStory()
	s.server.Exec(t.Context(), "DROP TABLE ledger") // which no reader can open any more when recovery stops before the commit
	s.archiveAll()
	time.Sleep(100 * time.Millisecond) // all that was committed is longer ago than that
	for words, c := range map[string]struct {
		kind restore.Kind
		why  string // or what cannot be reached
		want drill.Verdict
	}{
		"random":          {restore.KindTime, "chosen by chance among", drill.Pass},
		"restore point":   {restore.KindName, "the newest restore point", drill.Pass},
		"0.1s ago":        {restore.KindTime, "nothing shows whether all before it is there", drill.Unproven},
		"before last ddl": {restore.KindLSN, "changed the schema", drill.Pass},
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			o := s.options(t)
			var err error
			if o.Wish, err = restore.ParseWish(words, time.Now()); err != nil {
				t.Fatal(err)
			}
			ran, err := drill.Run(t.Context(), o)
			var unreachable *restore.UnreachableError
			if errors.As(err, &unreachable) != (c.want == drill.Unproven) {
				t.Errorf("the drill ended with %v", err)
			}
			r, err := drill.Load(t.Context(), s.cluster, ran.ID)
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != c.want || r.Target.Asked != words || r.Target.Kind != string(c.kind) || (r.Target.Timeline == 1) != (c.want == drill.Pass) {
				t.Errorf("verdict %s, target %+v", r.Verdict, r.Target)
			}
			if said := r.Target.Why + check(t, r, drill.CheckPITR).Detail; !strings.Contains(said, c.why) {
				t.Errorf("it says %q, want %q", said, c.why)
			}
			wantNoLeavings(t, o.WorkDirectory)
		})
	}
}
