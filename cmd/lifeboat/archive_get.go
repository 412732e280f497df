package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/restore"
)

// What archive-get exits with: PostgreSQL promotes on 1 to 125 and stops on anything above, so only an authoritative
// absence is 1, and everything that is not known is 254: a wrong flag, a crash and a request to stop included.
const (
	fetchFound   = 0
	fetchAbsent  = 1
	fetchUnknown = 254
)

// fetchDeadline bounds one fetch, so that an outage is reported rather than waited out in silence.
const fetchDeadline = 2 * time.Minute

// isFetch finds out before any flag is parsed whether the exit codes of archive-get apply.
func isFetch(args []string) bool {
	for _, arg := range args {
		if arg == "archive-get" {
			return true
		}
	}
	return false
}

// runFetch carries out archive-get with its own exit codes, whatever happens.
func (a *app) runFetch(ctx context.Context, args []string) (code int) {
	code = fetchUnknown
	defer func() {
		if crash := recover(); crash != nil {
			a.errors.Printf("lifeboat: archive-get crashed: %v\n", crash)
		}
	}()
	outcome := restore.Unknown
	root := a.root()
	root.SetArgs(args)
	command, _, err := root.Find([]string{"archive-get"})
	if err != nil {
		return fetchUnknown
	}
	command.RunE = func(c *cobra.Command, operands []string) (err error) {
		outcome, err = a.fetch(c.Context(), operands[0], operands[1])
		return err
	}
	if err := root.ExecuteContext(ctx); err != nil {
		a.explain(ctx, err)
	}
	switch outcome {
	case restore.Found:
		return fetchFound
	case restore.Absent:
		return fetchAbsent
	}
	return fetchUnknown
}

func (a *app) fetchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "archive-get NAME DEST",
		Short: "Fetch one WAL file, for restore_command (through the hook: lifeboat-wal fetch %f %p)",
		Long: "Writes the WAL file NAME to DEST. Exits 0 when DEST is whole and verified, 1 when the repository\n" +
			"answered that it has no such file, and 254 whenever that is not known.",
		Args: cobra.ExactArgs(2),
		RunE: func(*cobra.Command, []string) error { return nil }, // runFetch puts the work here
	}
}

func (a *app) fetch(ctx context.Context, name, destination string) (restore.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchDeadline)
	defer cancel()
	s, err := a.openKnown(ctx, fetching())
	if err != nil {
		return restore.Unknown, err
	}
	defer func() { a.owed(s).noteAway(s.cluster.Away()) }()
	outcome, err := restore.Fetch(ctx, s.cluster, name, destination, restore.FetchOptions{Logger: a.log})
	if outcome == restore.Found {
		a.startAhead(name, destination)
	}
	return outcome, err
}
