package drill_test

import (
	"testing"

	"lifeboat/drill"
	"lifeboat/internal/pgtest"
)

func TestSound(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		s := newScene(t, install, nil)
		s.server.Pgbench(t.Context(), 1, 2, 1)
		s.backup()
		s.census()
		s.server.PgbenchRun(t.Context(), 2, 1)
		s.archiveAll()
		r := s.drill(t, s.options(t))
		tell(t, r)
		if r.Verdict != drill.Pass {
			t.Error(r.Verdict)
		}
	})
}
