package restore

import (
	"fmt"
	"strconv"
	"strings"

	"lifeboat/internal/wal"
)

// The values of recovery_target_action.
const (
	ActionPause    = "pause"
	ActionPromote  = "promote"
	ActionShutdown = "shutdown"
)

// targetSettings are all settings that a recovery target can be given by. PostgreSQL refuses a second one that is not
// empty, hence the others are emptied before the one is set: an older one may stand in the restored configuration.
func targetSettings() []string {
	return []string{
		"recovery_target", "recovery_target_name", "recovery_target_time", "recovery_target_xid", "recovery_target_lsn",
	}
}

// recoverySettings are the settings of a recovery, in the order in which they must be applied
// (https://www.postgresql.org/docs/current/runtime-config-wal.html).
func recoverySettings(t PlannedTarget, tli wal.TimelineID, o PlanOptions) []Setting {
	list := []Setting{{"restore_command", o.FetchCommand}}
	for _, name := range targetSettings() {
		if name != t.Setting {
			list = append(list, Setting{name, ""})
		}
	}
	if t.Setting != "" {
		list = append(list, Setting{t.Setting, t.SettingValue})
	}
	list = append(list,
		Setting{"recovery_target_inclusive", onOff(!t.Exclusive)},
		Setting{"recovery_target_timeline", tli.String()},
		Setting{"recovery_target_action", o.Action},
		Setting{"recovery_end_command", ""},
		Setting{"archive_cleanup_command", ""},
		Setting{"recovery_min_apply_delay", "0"},
	)
	if o.Action == ActionPause {
		list = append(list, Setting{"hot_standby", "on"}) // without it, recovery would not pause
	}
	if o.ArchiveModeOff {
		list = append(list, Setting{"archive_mode", "off"})
	}
	if o.Port != 0 {
		list = append(list, Setting{"port", strconv.Itoa(o.Port)})
	}
	return list
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// renderSettings writes settings as lines of a configuration file.
func renderSettings(list []Setting) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "%s = '%s'\n", s.Name, quoteSetting(s.Value))
	}
	return b.String()
}

// quoteSetting protects what a quoted value of a configuration file gives a meaning (GUC_scanstr in guc-file.l).
func quoteSetting(value string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(value)
}
