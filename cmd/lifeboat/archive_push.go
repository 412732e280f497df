package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/archive"
	"lifeboat/storage/catalog"
)

func (a *app) pushCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "archive-push PATH",
		Short: "Archive one WAL file, for archive_command (through the hook: lifeboat-wal push %p)",
		Long: "Stores one WAL file and exits 0 only when it is durable in the repository. Any other outcome exits\n" +
			"between 1 and 125, so that PostgreSQL keeps the file and asks again.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.push(c.Context(), args[0]) },
	}
}

func (a *app) push(ctx context.Context, path string) error {
	s, err := a.openKnown(ctx, pushing())
	if err != nil {
		return err
	}
	result, err := archive.Push(ctx, s.cluster, path, archive.PushOptions{Clock: a.now, Store: a.storeOptions(s)})
	if err != nil {
		return err
	}
	if len(s.copies) > 0 {
		a.settleCopies(ctx, s, result)
	}
	a.log.Info("archived", "file", result.Name.String(), "stored", result.Stored)
	return nil
}

// pushGrace is how long a push waits for a repository once the file is safe in enough others.
const pushGrace = 10 * time.Second

// storeOptions say in how many of the cluster's repositories a file must be durable, and which of them to leave out
// because they were away a moment ago.
func (a *app) storeOptions(s *scene) catalog.StoreOptions {
	return catalog.StoreOptions{Durable: s.config.WAL.Copies, Grace: pushGrace, Later: a.owed(s).away(s.copyNames())}
}

// settleCopies notes what the repositories that were away are owed, and once they are back brings them some of it.
func (a *app) settleCopies(ctx context.Context, s *scene, result archive.PushResult) {
	a.owed(s).note(result.Name, result.Copies)
	if allThere(result.Copies) {
		a.pay(ctx, s)
	}
}

// allThere says whether no repository was away.
func allThere(copies []catalog.CopyResult) bool {
	for _, c := range copies {
		if c.Err != nil {
			return false
		}
	}
	return true
}
