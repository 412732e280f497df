package archive

import (
	"testing"

	"lifeboat/internal/control"
)

func TestOnlyARunningPrimarysDirectoryIsLive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		of   string
		have control.Control
		want bool
	}{
		{"the server", control.Control{State: control.InProduction, Redo: 100}, true},
		{"the server after another checkpoint", control.Control{State: control.InProduction, Redo: 101}, true},
		{"an old copy", control.Control{State: control.InProduction, Redo: 99}, false},
		{"a standby", control.Control{State: control.InArchiveRecovery, Redo: 100}, false},
		{"a stopped server", control.Control{State: control.ShutDown, Redo: 100}, false},
	} {
		if live(c.have, 100) != c.want {
			t.Errorf("directory of %s: live is %v", c.of, !c.want)
		}
	}
}
