package restore_test

import (
	"errors"
	"testing"

	"lifeboat/restore"
)

func TestOnlyAFittingStopIsProof(t *testing.T) {
	t.Parallel()
	const (
		atLSN   = `recovery stopping after WAL location (LSN) "0/3000148"`
		before  = `recovery stopping before commit of transaction 742, time 2026-11-22 10:21:03.5+00`
		atName  = `recovery stopping at restore point "x", time 2026-11-22 10:21:03.5+00`
		atStart = "recovery stopping after reaching consistency"
	)
	for name, c := range map[string]struct {
		setting, value string
		reached        restore.Reached
		proven         bool
	}{
		"the position itself":        {"recovery_target_lsn", "0/3000148", restore.Reached{StopReason: atLSN}, true},
		"a later position":           {"recovery_target_lsn", "0/3000100", restore.Reached{StopReason: atLSN}, true},
		"an earlier position":        {"recovery_target_lsn", "0/3000150", restore.Reached{StopReason: atLSN}, false},
		"another kind of stop":       {"recovery_target_lsn", "0/3000148", restore.Reached{StopReason: before}, false},
		"no stop":                    {"recovery_target_lsn", "0/3000148", restore.Reached{LSN: 0x4000000}, false},
		"a time":                     {"recovery_target_time", "2026-11-22 10:21:03+00", restore.Reached{StopReason: before}, true},
		"a time, at a restore point": {"recovery_target_time", "2026-11-22 10:21:03+00", restore.Reached{StopReason: atName}, false},
		"the transaction":            {"recovery_target_xid", "742", restore.Reached{StopReason: before}, true},
		"another transaction":        {"recovery_target_xid", "74", restore.Reached{StopReason: before}, false},
		"the restore point":          {"recovery_target_name", "x", restore.Reached{StopReason: atName}, true},
		"another restore point":      {"recovery_target_name", "y", restore.Reached{StopReason: atName}, false},
		"consistency":                {"recovery_target", "immediate", restore.Reached{StopReason: atStart}, true},
		"not consistency":            {"recovery_target", "immediate", restore.Reached{StopReason: atLSN}, false},
		"the end":                    {"", "", restore.Reached{LSN: 0x5000000}, true},
		"an early end":               {"", "", restore.Reached{LSN: 0x4FFFFFF}, false},
		"an unknown end":             {"", "", restore.Reached{}, false},
		"a stop before the end":      {"", "", restore.Reached{LSN: 0x5000000, StopReason: atLSN}, false},
	} {
		plan := restore.Plan{Target: restore.PlannedTarget{Setting: c.setting, SettingValue: c.value, StopLSN: 0x5000000}}
		err := plan.CheckReached(c.reached)
		var not *restore.NotReachedError
		if c.proven != (err == nil) || !c.proven && !errors.As(err, &not) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
