package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/term"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// backupSummary is one backup as 'list' and 'backup' write it in JSON.
type backupSummary struct {
	Label        string         `json:"label"`
	Type         string         `json:"type"`
	StartTime    time.Time      `json:"start_time"`
	StopTime     time.Time      `json:"stop_time"`
	StartLSN     wal.LSN        `json:"start_lsn"`
	StopLSN      wal.LSN        `json:"stop_lsn"`
	Timeline     wal.TimelineID `json:"timeline"`
	ClusterBytes int64          `json:"cluster_bytes"`
	StoredBytes  int64          `json:"stored_bytes"`
	DamagedPages int            `json:"damaged_pages"`
}

// span is a stretch of WAL on one timeline.
type span struct {
	Timeline wal.TimelineID `json:"timeline"`
	From     wal.LSN        `json:"from_lsn"`
	To       wal.LSN        `json:"to_lsn"`
}

// missing is a gap: WAL that ought to be there, and why it is not.
type missing struct {
	span
	Why    string    `json:"why"`            // empty where nothing says it
	Since  time.Time `json:"since,omitzero"` // when it was noted; absent where only the hole shows it
	Mended bool      `json:"mended"`         // a backup was made since: what lies behind its end can be reached
}

type window struct {
	Timeline wal.TimelineID `json:"timeline"`
	FromTime time.Time      `json:"from_time"`
	ToTime   time.Time      `json:"to_time"`
	FromLSN  wal.LSN        `json:"from_lsn"`
	ToLSN    wal.LSN        `json:"to_lsn"`
}

type listing struct {
	Cluster          string          `json:"cluster"`
	SystemIdentifier string          `json:"system_identifier"`
	Backups          []backupSummary `json:"backups"`
	WAL              []span          `json:"wal"`
	Gaps             []missing       `json:"gaps"`
	Windows          []window        `json:"windows"`
	Unfinished       []string        `json:"unfinished"`
	Problems         []string        `json:"problems"`
	Findings         []string        `json:"findings"`
	Repositories     []lackingCopy   `json:"repositories,omitempty"` // where there are several
}

func (a *app) listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List backups, WAL coverage and gaps, and the windows that can be reached",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.list(c.Context()) },
	}
	a.identityFlag(c.Flags())
	a.repositoryFlag(c.Flags())
	return c
}

func (a *app) list(ctx context.Context) error {
	s, err := a.openKnown(ctx, asking())
	if err != nil {
		return err
	}
	inventory, err := s.cluster.Inventory(ctx)
	if err != nil {
		return err
	}
	l := newListing(s.cluster, inventory)
	if l.Repositories, err = s.lacking(ctx); err != nil {
		return err
	}
	if a.json() {
		err = a.writeJSON(l)
	} else {
		a.tellListing(l)
	}
	if err == nil && len(l.Problems) > 0 {
		return &codeError{code: exitFail}
	}
	return err
}

func summarise(r catalog.Record) backupSummary {
	return backupSummary{
		Label: r.Label, Type: r.Type, StartTime: r.StartTime, StopTime: r.StopTime, StartLSN: r.StartLSN, StopLSN: r.StopLSN,
		Timeline: r.Timeline, ClusterBytes: r.ClusterBytes, StoredBytes: r.StoredBytes, DamagedPages: len(r.DamagedPages),
	}
}

func newListing(c *catalog.Cluster, inventory *catalog.Inventory) listing {
	l := listing{
		Cluster: c.Name(), SystemIdentifier: fmt.Sprint(c.Identity().SystemIdentifier),
		Backups: []backupSummary{}, WAL: []span{}, Gaps: []missing{}, Windows: []window{},
		Unfinished: append([]string{}, inventory.Unfinished...), Problems: []string{}, Findings: []string{},
	}
	for _, r := range inventory.Backups {
		l.Backups = append(l.Backups, summarise(r))
	}
	for _, run := range inventory.Runs {
		l.WAL = append(l.WAL, span{Timeline: run.Timeline, From: run.From, To: run.To})
	}
	for _, gap := range inventory.Gaps() {
		l.Gaps = append(l.Gaps, missing{
			span: span{Timeline: gap.Timeline, From: gap.From, To: gap.To}, Why: gap.Why, Since: gap.Since, Mended: inventory.Mended(gap),
		})
	}
	for _, w := range inventory.Windows() {
		l.Windows = append(l.Windows, window{Timeline: w.Timeline, FromTime: w.FromTime, ToTime: w.ToTime, FromLSN: w.FromLSN, ToLSN: w.ToLSN})
	}
	for _, p := range damages(inventory) {
		l.Problems = append(l.Problems, p.Err.Error())
	}
	for _, f := range conflicts(inventory) {
		l.Findings = append(l.Findings, tellFinding(f))
	}
	return l
}

// conflicts are the findings but for the ledger of gaps, which the gaps tell of as far as they are still open.
func conflicts(inventory *catalog.Inventory) []catalog.Finding {
	return slices.DeleteFunc(slices.Clone(inventory.Findings), func(f catalog.Finding) bool { return f.Kind == catalog.FindingGap })
}

func (a *app) tellListing(l listing) {
	a.out.Printf("cluster %s, system identifier %s\n", l.Cluster, l.SystemIdentifier)
	a.tellBackups(l.Backups)
	a.tellSpans("WAL", l.WAL)
	a.tellGaps(l.Gaps)
	a.tellWindows(l.Windows)
	a.tellLacking(l.Repositories)
	for _, label := range l.Unfinished {
		a.out.Printf("\nunfinished backup %s: the next backup removes what a dead one left\n", label)
	}
	for _, p := range l.Problems {
		a.out.Printf("\n%s %s\n", a.out.Paint(term.Bad, "problem:"), p)
	}
	for _, f := range l.Findings {
		a.out.Printf("\n%s %s\n", a.out.Paint(term.Doubt, "finding:"), f)
	}
}

func (a *app) tellBackups(backups []backupSummary) {
	if len(backups) == 0 {
		a.out.Printf("\nno backups: take one with 'lifeboat backup'\n")
		return
	}
	rows := make([][]string, 0, len(backups))
	for _, b := range backups {
		rows = append(rows, []string{b.Label, b.Type, stamp(b.StopTime), fmt.Sprint(b.Timeline), b.StopLSN.String(),
			term.Bytes(b.ClusterBytes), term.Bytes(b.StoredBytes)})
	}
	a.out.Printf("\nbackups\n")
	a.out.Table([]term.Column{{Title: "label"}, {Title: "type"}, {Title: "finished"}, {Title: "timeline", Right: true},
		{Title: "consistent at"}, {Title: "size", Right: true}, {Title: "stored", Right: true}}, rows)
}

func (a *app) tellSpans(title string, spans []span) {
	if len(spans) == 0 {
		return
	}
	rows := make([][]string, 0, len(spans))
	for _, s := range spans {
		rows = append(rows, []string{fmt.Sprint(s.Timeline), s.From.String(), s.To.String(), term.Bytes(int64(s.To - s.From))})
	}
	a.out.Printf("\n%s\n", title)
	a.out.Table([]term.Column{{Title: "timeline", Right: true}, {Title: "from"}, {Title: "to"}, {Title: "size", Right: true}}, rows)
}

func (a *app) tellGaps(gaps []missing) {
	if len(gaps) == 0 {
		return
	}
	rows := make([][]string, 0, len(gaps))
	for _, g := range gaps {
		since, why := "", "unknown"
		if !g.Since.IsZero() {
			since = stamp(g.Since)
		}
		if g.Why != "" {
			why = g.Why
		}
		rows = append(rows, []string{fmt.Sprint(g.Timeline), g.From.String(), g.To.String(), term.Bytes(int64(g.To - g.From)), since, why})
	}
	a.out.Printf("\ngaps: moments inside, and from there to the end of the next backup, cannot be reached\n")
	a.out.Table([]term.Column{{Title: "timeline", Right: true}, {Title: "from"}, {Title: "to"}, {Title: "size", Right: true},
		{Title: "known since"}, {Title: "why"}}, rows)
}

func (a *app) tellWindows(windows []window) {
	if len(windows) == 0 {
		a.out.Printf("\nno moment can be reached yet: that takes a backup and the WAL after it\n")
		return
	}
	rows := make([][]string, 0, len(windows))
	for _, w := range windows {
		rows = append(rows, []string{fmt.Sprint(w.Timeline), stamp(w.FromTime), stamp(w.ToTime), w.FromLSN.String(), w.ToLSN.String()})
	}
	a.out.Printf("\nreachable\n")
	a.out.Table([]term.Column{{Title: "timeline", Right: true}, {Title: "from"}, {Title: "to"}, {Title: "from LSN"}, {Title: "to LSN"}}, rows)
}

// tellFinding says what a refused push was, and when.
func tellFinding(f catalog.Finding) string {
	return fmt.Sprintf("%s: %s", stamp(f.Time), f.Detail)
}

// damages are the inventory's problems but for repositories that are away, which are told as such.
func damages(inventory *catalog.Inventory) []catalog.Problem {
	return slices.DeleteFunc(slices.Clone(inventory.Problems), func(p catalog.Problem) bool {
		var away *catalog.UnreachedError
		return errors.As(p.Err, &away)
	})
}
