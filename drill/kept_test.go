package drill_test

import (
	"strings"
	"testing"

	"lifeboat/drill"
)

// wantBundle wants in the last of several drills' evidence what ties it to the backup, the census and the drills before,
// and how recovery went.
func (s *scene) wantBundle(t *testing.T, results []*drill.Result) {
	t.Helper()
	last, err := drill.Load(t.Context(), s.cluster, results[len(results)-1].ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(last.Previous) == 0 {
		t.Fatal("the evidence before it is not named")
	}
	before, err := drill.Load(t.Context(), s.cluster, last.Previous[0].ID)
	if err != nil || before.Proof.SHA256 != last.Previous[0].SHA256 {
		t.Errorf("the evidence before it is not what was named: %v", err)
	}
	if len(last.Objects) != 2 || !strings.Contains(last.Objects[0].Key, last.Backup.Label) || !strings.Contains(last.Objects[1].Key, last.Census) {
		t.Errorf("it rests on %+v", last.Objects)
	}
	log := strings.Join(last.RecoveryLog, "\n")
	for _, want := range []string{"starting point-in-time recovery", "redo starts at", "recovery stopping", "consistent recovery state"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log that is kept:\n%s", want, log)
		}
	}
	if last.Proof == nil || last.Host.Kernel == "" || last.Host.Disk.FreeBytes == 0 {
		t.Errorf("proof %+v, host %+v", last.Proof, last.Host)
	}
	chain, err := s.cluster.CheckEvidenceChain(t.Context())
	if err != nil || len(chain.Broken()) > 0 {
		t.Errorf("the chain of evidence is broken: %+v, %v", chain.Broken(), err)
	}
}
