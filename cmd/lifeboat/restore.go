package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/term"
	"lifeboat/restore"
	"lifeboat/restore/server"
)

// restoreFlags are the flags of restore beside the target's.
type restoreFlags struct {
	directory, backup, action, archiveMode string
	tablespaces                            []string
	port                                   int
	dryRun, start                          bool
	target                                 targetFlags
}

// restored is what restore writes in JSON.
type restored struct {
	Plan    restore.Plan    `json:"plan"`
	Takes   *prediction     `json:"predicted,omitempty"`
	Result  *restore.Result `json:"result,omitempty"`
	Reached *server.Proof   `json:"reached,omitempty"`
	PID     int             `json:"pid,omitempty"`
}

func (a *app) restoreCommand() *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore --target-dir DIR",
		Short: "Restore to a directory that PostgreSQL starts from",
		Long: "Plans a restore to the latest moment or to the one that a --to- flag names, refuses what cannot be reached,\n" +
			"and makes a data directory that recovers there with a plain 'pg_ctl start', or at once with --start.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.restore(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.directory, "target-dir", "", "`DIRECTORY` to restore to: absent or empty")
	f.target.add(flags)
	flags.StringVar(&f.backup, "backup", "", "start from this backup, by its `LABEL` (default: the best one)")
	flags.StringVar(&f.action, "target-action", restore.ActionPromote, "what PostgreSQL does at the target: pause, promote or shutdown")
	flags.StringVar(&f.archiveMode, "archive-mode", "preserve", "preserve: archive as production does; off: a copy beside production, which must not archive")
	flags.StringArrayVar(&f.tablespaces, "tablespace-map", nil, "put the tablespace at `OLD=NEW`; may be repeated")
	flags.IntVar(&f.port, "port", 0, "port of the restored server (default: as in production)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the plan and write nothing")
	a.identityFlag(flags)
	a.repositoryFlag(flags)
	flags.BoolVar(&f.start, "start", false, "start PostgreSQL and wait until the target is proven reached")
	return c
}

func (a *app) restore(ctx context.Context, f restoreFlags) error {
	s, target, options, err := a.planRestore(ctx, f)
	if err != nil {
		return err
	}
	plan, err := restore.MakePlan(ctx, s.cluster, target, options)
	if err != nil {
		return usageOf(err)
	}
	if _, err := s.cluster.OpenIndex(ctx, plan.Record()); err != nil {
		return fmt.Errorf("open backup %s: %w", plan.Record().Label, err) // a wrong identity shows before a byte is written
	}
	a.rememberHead(ctx, s)
	done := restored{Plan: plan, Takes: a.predict(ctx, s, plan)}
	if !f.dryRun {
		if err := a.execute(ctx, s, f, &done); err != nil {
			return usageOf(err)
		}
	}
	if a.json() {
		return a.writeJSON(done)
	}
	a.tellRestored(done, f.dryRun)
	return nil
}

// usageOf makes wishes that cannot be carried out as written usage errors.
func usageOf(err error) error {
	var wish *restore.OptionError
	if errors.As(err, &wish) {
		return usagef("%s", wish.Message)
	}
	return err
}

func (a *app) planRestore(ctx context.Context, f restoreFlags) (*scene, restore.Target, restore.PlanOptions, error) {
	var options restore.PlanOptions
	if f.directory == "" {
		return nil, restore.Target{}, options, usagef("name the directory to restore to with --target-dir")
	}
	if f.archiveMode != "preserve" && f.archiveMode != "off" {
		return nil, restore.Target{}, options, usagef("--archive-mode is preserve or off, not %q", f.archiveMode)
	}
	target, timeline, err := f.target.parse(a.now())
	if err != nil {
		return nil, target, options, err
	}
	directory, err := filepath.Abs(f.directory)
	if err != nil {
		return nil, target, options, fmt.Errorf("target directory: %w", err)
	}
	moves, err := parseMoves(f.tablespaces)
	if err != nil {
		return nil, target, options, err
	}
	s, err := a.openKnown(ctx, reading())
	if err != nil {
		return nil, target, options, err
	}
	options = restore.PlanOptions{
		Directory: directory, Timeline: timeline, Backup: f.backup, TablespaceMap: moves, Action: f.action,
		ArchiveModeOff: f.archiveMode == "off", Port: f.port, FetchCommand: fetchCommand(), Now: a.now(),
	}
	return s, target, options, nil
}

func parseMoves(flags []string) (map[string]string, error) {
	moves := map[string]string{}
	for _, flag := range flags {
		from, to, found := strings.Cut(flag, "=")
		if !found || from == "" || to == "" {
			return nil, usagef("--tablespace-map is OLD=NEW, not %q", flag)
		}
		moves[from] = to
	}
	return moves, nil
}

// execute carries the plan out and, where asked for, starts the server.
func (a *app) execute(ctx context.Context, s *scene, f restoreFlags, done *restored) error {
	owner, err := s.owner(done.Plan.Directory)
	if err != nil {
		return err
	}
	hook, err := a.restoredHook(s, owner, f.start)
	if err != nil {
		return err
	}
	bar := a.bar()
	result, err := restore.Execute(ctx, s.cluster, done.Plan, restore.ExecOptions{
		Owner: owner, Logger: a.log, Config: hook,
		Progress: func(p restore.RestoreProgress) { bar.Show(p.Phase, p.Bytes, p.BytesTotal) },
	})
	bar.Done()
	if err != nil {
		return err
	}
	done.Result = &result
	if f.start {
		return a.startRestored(ctx, s, done)
	}
	return nil
}

func (a *app) tellRestored(done restored, dryRun bool) {
	a.out.Printf("%stakes      %s\n", done.Plan, done.Takes)
	if dryRun {
		a.out.Printf("\nnothing was written (--dry-run)\n")
		return
	}
	a.out.Printf("\nrestored %s in %s files to %s\n", term.Bytes(done.Result.BytesWritten), term.Count(done.Result.Files), done.Plan.Directory)
	if done.Reached == nil {
		a.out.Printf("start it with: pg_ctl start -D %s\n", done.Plan.Directory)
		return
	}
	reason := done.Reached.StopReason
	if reason == "" {
		reason = "recovered to the end of the archived WAL"
	}
	if at := done.Reached.ReachedLSN; at != 0 {
		reason += ", at " + at.String()
	}
	a.out.Printf("%s target reached: %s; the server has %s\n", a.out.Paint(term.Good, "✓"), reason, done.Reached.Outcome)
	a.out.Printf("it runs as process %d\n", done.PID)
}
