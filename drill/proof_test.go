package drill

import (
	"errors"
	"testing"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/restore/server"
)

func TestOnlyAStopAtThePlannedPlaceIsProof(t *testing.T) {
	t.Parallel()
	const at = wal.LSN(0x3000100)
	lsn := restore.PlannedTarget{Setting: "recovery_target_lsn", SettingValue: "0/3000100", StopLSN: at}
	before := lsn
	before.Exclusive = true
	moment := restore.PlannedTarget{Setting: "recovery_target_time", SettingValue: "2026-11-22 10:00:00+00", StopLSN: at}
	immediate := restore.PlannedTarget{Setting: "recovery_target", SettingValue: "immediate", StopLSN: at}
	const (
		afterLSN  = `recovery stopping after WAL location (LSN) "0/3000100"`
		beforeLSN = `recovery stopping before WAL location (LSN) "0/3000100"`
		commit    = `recovery stopping before commit of transaction 812, time 2026-11-22 10:00:01+00`
		consisent = `recovery stopping after reaching consistency`
	)
	for name, c := range map[string]struct {
		target  restore.PlannedTarget
		outcome server.Outcome
		reached wal.LSN
		reason  string
		proven  bool
	}{
		"just after":                         {lsn, server.Paused, at + 80, afterLSN, true},
		"just before":                        {before, server.Paused, at, beforeLSN, true},
		"before, with a page header between": {before, server.Paused, at - 40, beforeLSN, true},
		"short":                              {before, server.Paused, at - 4096, beforeLSN, false},
		"past":                               {before, server.Paused, at + 80, beforeLSN, false},
		"the record was to be replayed":      {lsn, server.Paused, at, afterLSN, false},
		"without a word":                     {lsn, server.Paused, at + 80, "", false},
		"for another reason":                 {lsn, server.Paused, at + 80, commit, false},
		"shut down":                          {lsn, server.ShutDown, at + 80, afterLSN, false},
		"before the transaction":             {moment, server.Paused, at, commit, true},
		"past the transaction":               {moment, server.Paused, at + 80, commit, false},
		"consistent":                         {immediate, server.Paused, at, consisent, true},
		"not yet consistent":                 {immediate, server.Paused, at - 4096, consisent, false},
	} {
		err := proven(restore.Plan{Target: c.target}, server.Proof{Outcome: c.outcome, ReachedLSN: c.reached, StopReason: c.reason})
		var short *ShortError
		if c.proven != (err == nil) || err != nil && !errors.As(err, &short) {
			t.Errorf("%s: %v, want proven %v", name, err, c.proven)
		}
		if err != nil && verdictOf(err) != Fail {
			t.Errorf("%s: verdict %s, want fail", name, verdictOf(err))
		}
	}
}

func TestVerdictOfARecoveryThatEnded(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]Verdict{
		"recovery ended before configured recovery target was reached":                                            Fail,
		"incorrect checksum in control file":                                                                      Fail,
		"requested timeline 3 is not a child of this server's history":                                            Fail,
		`could not restore file "000000010000000000000028" from archive: child process exited with exit code 254`: Unproven,
		"could not map anonymous shared memory: Cannot allocate memory":                                           Unproven,
		`could not write to file "base/5/16384": No space left on device`:                                         Unproven,
		"resource manager with ID 128 not registered":                                                             Unproven,
	} {
		err := error(&server.RecoveryError{Reason: reason, Log: "something else"})
		if got := verdictOf(err); got != want {
			t.Errorf("%s: %s, want %s", reason, got, want)
		}
		silent := &server.RecoveryError{Reason: "the server ended: exit status 1", Log: "a line\n" + reason + "\n"}
		if got := verdictOf(silent); got != want || lastWords(silent) != reason {
			t.Errorf("%s in the log: %s, want %s; told as %q", reason, got, want, words(silent))
		}
	}
}
