package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/term"
	"lifeboat/storage/catalog"
)

// filledCopy is what 'sync' and 'backup' say in JSON about one repository.
type filledCopy struct {
	Repository string   `json:"repository"`
	State      string   `json:"state"` // complete, or gap: it lacks something that another one has
	Objects    int      `json:"objects"`
	Bytes      int64    `json:"bytes"`
	Why        []string `json:"why,omitempty"` // it is not complete
}

func (a *app) syncCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sync",
		Short: "Bring to each repository what it lacks and another one has",
		Long: "Compares the cluster's repositories and copies WAL, backups, censuses, evidence and findings to where they are\n" +
			"missing, proven on the way. Nothing is replaced or removed. Exits 0 when all repositories have all, 3 when\n" +
			"something is damaged, and 1 when something else kept a repository from being filled.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.sync(c.Context()) },
	}
}

func (a *app) sync(ctx context.Context) error {
	s, err := a.openKnown(ctx, filling())
	if err != nil {
		return err
	}
	if len(s.copies) == 0 {
		return usagef("the cluster has one repository only: there is nothing to fill it from")
	}
	bar := a.bar()
	report, err := s.cluster.Fill(ctx, func(p catalog.FillProgress) { bar.Show("filling "+p.Copy+": "+p.Object, p.Bytes, 0) })
	bar.Done()
	if err != nil {
		return err
	}
	for _, c := range report.Copies {
		if c.Err == nil && len(c.Missing) == 0 {
			a.owed(s).clear(c.Copy)
		}
	}
	filled := summariseFill(report)
	if a.json() {
		err = a.writeJSON(filled)
	} else {
		a.tellFilled(filled)
	}
	return errors.Join(err, fillCode(report))
}

// fillCode is nil where no repository lacks anything.
func fillCode(report catalog.FillReport) error {
	var damage *catalog.DamagedError
	for _, c := range report.Copies {
		for _, p := range c.Missing {
			if errors.As(p.Err, &damage) {
				return &codeError{code: exitFail}
			}
		}
	}
	if !report.Complete() {
		return &codeError{code: exitError}
	}
	return nil
}

func summariseFill(report catalog.FillReport) []filledCopy {
	list := []filledCopy{}
	for _, c := range report.Copies {
		f := filledCopy{Repository: c.Copy, State: "complete", Objects: c.Objects, Bytes: c.Bytes}
		if c.Err != nil {
			f.Why = append(f.Why, c.Err.Error())
		}
		for _, p := range c.Missing {
			f.Why = append(f.Why, p.Err.Error())
		}
		if len(f.Why) > 0 {
			f.State = "gap"
		}
		list = append(list, f)
	}
	return list
}

func (a *app) tellFilled(list []filledCopy) {
	rows := make([][]string, 0, len(list))
	for _, c := range list {
		rows = append(rows, []string{c.Repository, c.State, term.Count(int64(c.Objects)), term.Bytes(c.Bytes)})
	}
	a.out.Table([]term.Column{{Title: "repository"}, {Title: "state"}, {Title: "copied", Right: true}, {Title: "size", Right: true}}, rows)
	for _, c := range list {
		for _, why := range c.Why {
			a.out.Printf("%s %s: %s\n", a.out.Paint(term.Bad, "missing"), c.Repository, why)
		}
	}
}

// spread brings a new backup to the cluster's other repositories. One that is away does not stop it.
func (a *app) spread(ctx context.Context, s *scene, label string) []filledCopy {
	if len(s.copies) == 0 {
		return nil
	}
	bar := a.bar()
	report, err := s.cluster.FillBackup(ctx, label, func(p catalog.FillProgress) { bar.Show("copying to "+p.Copy, p.Bytes, 0) })
	bar.Done()
	if err != nil {
		a.log.Warn("the backup is in one repository only; lifeboat sync brings it to the others", "error", err)
		return []filledCopy{}
	}
	list := summariseFill(report)
	for _, c := range list {
		for _, why := range c.Why {
			a.log.Warn("a repository has not got the backup; lifeboat sync brings it there", "repository", c.Repository, "error", why)
		}
	}
	a.pay(ctx, s)
	return list
}

// lackingCopy is what 'list' says about one of several repositories.
type lackingCopy struct {
	Repository string   `json:"repository"`
	State      string   `json:"state"` // complete, gap or away
	Why        string   `json:"why,omitempty"`
	WAL        int      `json:"wal_files"`
	Backups    []string `json:"backups"`
	Censuses   []string `json:"censuses"`
	Drills     []string `json:"drills"`
	Dumps      []string `json:"dumps"`
	Findings   int      `json:"findings"`
	Objects    int      `json:"objects"`
	Bytes      int64    `json:"bytes"`
}

// lacking compares the cluster's repositories; nil where there is one only.
func (s *scene) lacking(ctx context.Context) ([]lackingCopy, error) {
	if len(s.copies) == 0 {
		return nil, nil
	}
	lacks, err := s.cluster.Lacks(ctx)
	if err != nil {
		return nil, err
	}
	var list []lackingCopy
	for _, l := range lacks {
		c := lackingCopy{Repository: l.Copy, State: "gap", WAL: l.WAL, Findings: l.Findings, Objects: l.Objects, Bytes: l.Bytes,
			Backups: append([]string{}, l.Backups...), Censuses: append([]string{}, l.Censuses...), Drills: append([]string{}, l.Drills...),
			Dumps: append([]string{}, l.Dumps...)}
		switch {
		case l.Err != nil:
			c.State, c.Why = "away", l.Err.Error()
		case l.Complete():
			c.State = "complete"
		}
		list = append(list, c)
	}
	return list, nil
}

// tell says in a sentence how the repository stands.
func (c lackingCopy) tell() string {
	switch c.State {
	case "away":
		return "cannot be reached: " + c.Why
	case "complete":
		return "has all that the others have"
	}
	return fmt.Sprintf("gap to be filled: %d WAL files, %d backups, %d censuses, %d drills, %d dumps, %d findings, %s",
		c.WAL, len(c.Backups), len(c.Censuses), len(c.Drills), len(c.Dumps), c.Findings, term.Bytes(c.Bytes))
}

func (a *app) tellLacking(list []lackingCopy) {
	if len(list) == 0 {
		return
	}
	a.out.Printf("\nrepositories\n")
	mend := false
	for _, c := range list {
		a.out.Printf("  %s: %s\n", c.Repository, c.tell())
		mend = mend || c.State == "gap"
	}
	if mend {
		a.out.Printf("  lifeboat sync fills the gaps\n")
	}
}
