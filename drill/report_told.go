package drill

import (
	"fmt"
	"strings"

	"lifeboat/storage/catalog"
)

// told is what was done, for a reader who knows nothing of the tool.
func told(r *Result) []string {
	list := []string{toldStart(r)}
	if r.Backup.Label != "" {
		list = append(list, toldRecovery(r), toldRows(r))
	}
	return append(list, "A drill reads the repository of backups and writes into a scratch directory of its own, which it removes at the end. It changes nothing in production.")
}

func toldStart(r *Result) string {
	text := fmt.Sprintf("On %s, %s", stamp(r.Started), toldOrigin(r.Origin))
	if r.Backup.Label == "" {
		return text + " It did not come to restore a backup."
	}
	restored := "It was to restore"
	if r.Target.ReachedLSN.IsValid() {
		restored = "It restored"
	}
	text += fmt.Sprintf(" %s %s backup %s of cluster %s", restored, article(r.Backup.Type), r.Backup.Label, r.Cluster)
	if !r.Backup.StopTime.IsZero() {
		text += ", which was " + spell(r.Started.Sub(r.Backup.StopTime)) + " old"
	}
	return text + fmt.Sprintf(" and holds %s.", size(r.Backup.Bytes))
}

func article(backupType string) string {
	switch backupType {
	case "full":
		return "the full"
	case "incr":
		return "the incremental"
	}
	return "the"
}

func toldOrigin(o Origin) string {
	switch o.Trigger {
	case ByHand:
		return "somebody started this drill by hand" + by(o.By) + "."
	case BySchedule:
		return "a scheduler started this drill" + by(o.By) + ", with no one at hand."
	}
	return "this drill was started; its evidence does not say by whom."
}

func by(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}

func toldRecovery(r *Result) string {
	target := strings.TrimSpace(r.Target.Kind + " " + r.Target.Value)
	if !r.Target.ReachedLSN.IsValid() {
		return "The backup was to be copied to a scratch server, and the changes recorded after it to be replayed up to the target: " + target +
			". It did not come to answer there."
	}
	server := "a scratch server"
	if version := r.Environment.PostgreSQL; version != "" {
		server += " with PostgreSQL " + version
	}
	return fmt.Sprintf("The backup was copied to %s, and the changes recorded after it were replayed up to the target: %s. The server stopped there, at position %s of the log, and answered the first query %s after the drill had begun.",
		server, target, r.Target.ReachedLSN, spell(seconds(r.RTOSeconds)))
}

func toldRows(r *Result) string {
	if len(r.Rows.Tables) == 0 {
		return "No table was compared with production."
	}
	text := "Compared with what was counted in production"
	if r.Census != "" {
		if at, ok := catalog.IDTime(r.Census); ok {
			text += " at " + stamp(at)
		}
	}
	return text + ": " + plural(len(r.Rows.Tables), "table") + ", " + comparisonWords(r.Rows.Comparison) + "."
}

// point is one of the five of the checklist.
type point struct {
	Question, Detail string
	Result           Verdict
}

// points are the checklist, all of it, whatever the evidence has.
func points(r *Result) []point {
	list := []point{
		{Question: "Does the last backup restore?", Detail: CheckBackup},
		{Question: "Are the rows those of production?", Detail: CheckRows},
		{Question: "Can the database be recovered to a moment, and does it answer there?", Detail: CheckPITR},
		{Question: "Would it be restored in the promised time?", Detail: CheckTime},
		{Question: "Does everything that did not pass say why, and is that kept?", Detail: CheckDocumented},
	}
	for i, p := range list {
		list[i].Detail, list[i].Result = "the evidence has no such check", NotRun
		for _, c := range r.Checks {
			if c.Name == p.Detail {
				list[i].Detail, list[i].Result = c.Detail, c.Result
			}
		}
	}
	return list
}

// facts say for whom and on what the drill was run.
func facts(r *Result) [][2]string {
	return given([][2]string{
		{"policy", r.Mandate.title()}, {"approved by", r.Mandate.Approver}, {"ticket", r.Mandate.Ticket}, {"planned at", r.Mandate.Schedule},
		{"started by", strings.TrimSpace(r.Origin.Trigger + " " + by(r.Origin.By))}, {"command", r.Origin.Command},
		{"started", stamp(r.Started)}, {"finished", stamp(r.Finished)},
		{"backup", r.Backup.Label}, {"backup ended", stamp(r.Backup.StopTime)}, {"cluster size", sizeOrNothing(r.Backup.Bytes)},
		{"census", r.Census}, {"recovery stopped", r.Target.StopReason}, {"restore time rests on", r.RestoreBasis},
		{"PostgreSQL", r.Environment.PostgreSQL}, {"Lifeboat", r.Environment.Lifeboat}, {"machine", describeMachine(r)}, {"scratch disk", r.Host.Disk.describe()}, {"isolation", r.Environment.Isolation.String()},
	})
}

// vouched is what the evidence rests on.
func vouched(r *Result) [][2]string {
	proof := "this page was written as the drill ended; 'lifeboat drill report " + r.ID + "' reads the evidence anew, checks it, and says who signed it"
	sum := ""
	if r.Proof != nil {
		proof, sum = r.Proof.String(), "SHA-256 "+r.Proof.SHA256
	}
	before := "none: this is the first, or older programs wrote what came before"
	if n := len(r.Previous); n > 0 {
		before = plural(n, "drill") + ", by checksum"
	}
	return given([][2]string{{"drill", r.ID}, {"kept as", r.Evidence}, {"signature", proof}, {"checksum", sum}, {"evidence before it", before}})
}

// given leaves out what is not known.
func given(list [][2]string) [][2]string {
	var kept [][2]string
	for _, f := range list {
		if f[1] != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

func sizeOrNothing(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return size(bytes)
}

func describeMachine(r *Result) string {
	if r.Environment.System == "" {
		return ""
	}
	text := fmt.Sprintf("%s, %s", r.Environment.System, plural(r.Environment.Cores, "core"))
	if r.Host.Kernel != "" {
		text = r.Host.Kernel + ", " + text
	}
	if r.Host.MemoryBytes > 0 {
		text += ", " + size(r.Host.MemoryBytes) + " of memory"
	}
	return text
}

func (d Disk) describe() string {
	if d.TotalBytes == 0 {
		return ""
	}
	text := fmt.Sprintf("%s, %s of %s free before the drill", d.FileSystem, size(d.FreeBytes), size(d.TotalBytes))
	if d.Kind != "" {
		text = d.Kind + ", " + text
	}
	return text
}

// glossary explains the report's words.
func glossary() [][2]string {
	return [][2]string{
		{"backup", "a copy of all files of the database server, made while it ran"},
		{"WAL", "the log in which the server records every change; a backup and the WAL after it give any later moment. A position in it (LSN) is written as 0/5800000"},
		{"census", "a count of production's tables, with a checksum of their contents, at one position of the log"},
		{"exact, tolerant", "exact: the drill recovered to the very position of the census, and every row must be there. Tolerant: that was not possible, and a small difference is allowed"},
		{"restored in", "recovery time (RTO): from the decision to restore to the first answer at the target"},
		{"would be lost", "recovery point (RPO): what production had committed and the repository did not have yet"},
		{"pass, warn, fail, unproven", "kept; kept, with little to spare; not kept; could not be checked, which counts as not kept"},
	}
}
