package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/storage/catalog"
)

// Summary is what the drills of a cluster have shown over a time, as an auditor asks for it. It claims nothing: it says
// what was planned, what was done, what came of it, and what cannot be seen from here.
type Summary struct {
	Cluster string    `json:"cluster"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"` // exclusive
	Made    time.Time `json:"made"`

	Headline string   `json:"headline"`
	Open     []string `json:"open"` // what is missing or was never mended: what a reader will ask about

	Drills []Count `json:"drills"` // by name, over the whole time
	Months []Month `json:"months"` // all of them, also those without any drill
	Gap    Gap     `json:"longest_gap"`

	RTO     Spread       `json:"rto"`
	RPO     Spread       `json:"rpo"`
	Targets []TargetKept `json:"targets"`
	Content Content      `json:"content"`

	Failures []Failure        `json:"failures"`
	Policies []PolicyChange   `json:"policies"`
	Backups  []BackupRestored `json:"backups"`
	Evidence []EvidenceKept   `json:"evidence"`
	Chain    Chain            `json:"chain"`
	Clauses  []Clause         `json:"clauses"`
}

// Count is how often a drill was planned and run, and what came of it. Passed counts those with a warning, too.
type Count struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule,omitempty"`
	Planned  int    `json:"planned"` // by the schedule as it is configured now, up to the moment of the summary
	Run      int    `json:"run"`
	ByHand   int    `json:"by_hand"` // of those run
	Passed   int    `json:"passed"`
	Warned   int    `json:"warned"` // of those passed
	Failed   int    `json:"failed"`
	Unproven int    `json:"unproven"`
}

// Month is one month in UTC, or the part of it that lies in the summary's time.
type Month struct {
	Month  string  `json:"month"` // 2026-01
	Ahead  bool    `json:"ahead"` // it has not begun
	Drills []Count `json:"drills"`
	All    Count   `json:"all"`
}

// Gap is the longest time in which no drill passed; the ends of the summary's time count as if one had passed there.
type Gap struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Seconds float64   `json:"seconds"`
}

// Spread is what was measured over all drills that could measure it.
type Spread struct {
	Measured int     `json:"measured"`
	Best     float64 `json:"best_seconds"`
	Median   float64 `json:"median_seconds"`
	Worst    float64 `json:"worst_seconds"`
}

// TargetKept is how often a documented target was kept.
type TargetKept struct {
	Name         string  `json:"name"`
	Promised     string  `json:"promised"` // in the last drill that judged it
	Kept         int     `json:"kept"`
	Nearly       int     `json:"nearly"` // kept with a warning
	Missed       int     `json:"missed"`
	Unproven     int     `json:"unproven"`
	WorstPercent float64 `json:"worst_percent"` // of the promise
}

// Content is how much was compared with what production had.
type Content struct {
	ExactDrills    int   `json:"exact_drills"`
	TolerantDrills int   `json:"tolerant_drills"`
	WithoutDrills  int   `json:"without_drills"` // that compared no rows
	ExactTables    int64 `json:"exact_tables"`
	ExactRows      int64 `json:"exact_rows"`
	TolerantTables int64 `json:"tolerant_tables"`
	TolerantRows   int64 `json:"tolerant_rows"`
	WrongTables    int64 `json:"wrong_tables"`
}

// Failure is a drill that did not pass, or whose evidence cannot be read.
type Failure struct {
	ID            string    `json:"id"`
	Drill         string    `json:"drill,omitempty"`
	Started       time.Time `json:"started"`
	Verdict       Verdict   `json:"verdict"`
	Reasons       []string  `json:"reasons"`
	MendedBy      string    `json:"mended_by,omitempty"` // the next drill of the name that passed; empty: none has yet
	MendedSeconds float64   `json:"mended_seconds,omitempty"`
}

// PolicyChange is a drill that was held to something else than the one of its name before.
type PolicyChange struct {
	ID    string    `json:"id"`
	Drill string    `json:"drill"`
	At    time.Time `json:"at"`
	Now   string    `json:"now"`
}

// BackupRestored is a backup that drills have restored.
type BackupRestored struct {
	Label  string    `json:"label"`
	Type   string    `json:"type"`
	Drills int       `json:"drills"`
	Passed int       `json:"passed"`
	Last   time.Time `json:"last"`
}

// EvidenceKept is one drill's evidence.
type EvidenceKept struct {
	ID        string    `json:"id"`
	Drill     string    `json:"drill"`
	Started   time.Time `json:"started"`
	Verdict   Verdict   `json:"verdict"`
	Signature Signature `json:"signature"`
	Key       string    `json:"key,omitempty"`
	SHA256    string    `json:"sha256"`
	Approver  string    `json:"approver,omitempty"`
	Ticket    string    `json:"ticket,omitempty"`
}

// Chain is whether evidence was taken away or written anew since.
type Chain struct {
	Broken  []catalog.BrokenLink `json:"broken"`
	Expired string               `json:"expired,omitempty"` // the newest evidence that was expired, or removed from the beginning
}

// Schedule is when a drill is planned.
type Schedule struct {
	Text string
	Next func(time.Time) time.Time // the first moment after another one; zero: none
}

// SummaryOptions say what to sum up.
type SummaryOptions struct {
	Cluster   *catalog.Cluster
	From, To  time.Time // To is exclusive
	Schedules map[string]Schedule
	Now       time.Time
}

// Summarise reads the evidence of a time, one drill after the other, and of the time since, which may speak of it. What
// cannot be read is counted among the drills that did not pass.
func Summarise(ctx context.Context, o SummaryOptions) (*Summary, error) {
	if !o.To.After(o.From) {
		return nil, errors.New("summary: the time ends before it begins")
	}
	ids, err := o.Cluster.EvidenceIDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("summary: %w", err)
	}
	c := newCollector(o)
	if err := o.Cluster.EachProvenEvidence(ctx, sinceOneBefore(ids, o.From), c.take); err != nil {
		return nil, fmt.Errorf("summary: %w", err)
	}
	return c.summary(), nil
}

// sinceOneBefore are the ids from a moment on, and one more before, which shows whether older evidence is there.
func sinceOneBefore(ids []string, from time.Time) []string {
	for i, id := range ids {
		if at, ok := catalog.IDTime(id); !ok || !at.Before(from) {
			return ids[max(0, i-1):]
		}
	}
	return ids[max(0, len(ids)-1):]
}
