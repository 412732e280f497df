package main

import (
	"context"

	"github.com/spf13/cobra"

	"lifeboat/archive"
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
	result, err := archive.Push(ctx, s.cluster, path, archive.PushOptions{Clock: a.now})
	if err != nil {
		return err
	}
	a.log.Info("archived", "file", result.Name.String(), "stored", result.Stored)
	return nil
}
