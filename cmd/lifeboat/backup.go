package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"lifeboat/archive"
	"lifeboat/cmd/internal/term"
	"lifeboat/storage/catalog"
)

func (a *app) backupCommand() *cobra.Command {
	var kind string
	c := &cobra.Command{
		Use:   "backup",
		Short: "Take one base backup now",
		Long: "Copies the data directory while the server runs, waits until every WAL segment that the copy needs is\n" +
			"verified in the repository, and only then writes the backup's record.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.backup(c.Context(), kind) },
	}
	c.Flags().StringVar(&kind, "type", "full", "`TYPE` of the backup: full")
	return c
}

func (a *app) backup(ctx context.Context, kind string) error {
	if kind == "incr" {
		return usagef("this version takes full backups only: leave --type out")
	}
	if kind != "full" {
		return usagef("--type is full, not %q", kind)
	}
	s, err := a.openScene(ctx, producing())
	if err != nil {
		return err
	}
	if len(s.copies) == 0 {
		if err := requireConditional(ctx, s.bucket); err != nil {
			return err
		}
	}
	if s.cluster, err = a.known(ctx, s); err != nil {
		return err
	}
	started := a.now()
	bar := a.bar()
	record, err := archive.Backup(ctx, a.backupOptions(s, bar))
	bar.Done()
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	copies := a.spread(ctx, s, record.Label)
	a.sweep(ctx, s)
	a.rememberHead(ctx, s)
	if a.json() {
		err = a.writeJSON(madeBackup{backupSummary: summarise(record), Copies: copies})
	} else {
		a.tellBackup(record, a.now().Sub(started))
		if len(copies) > 0 {
			a.tellFilled(copies)
		}
	}
	if err == nil && len(record.DamagedPages) > 0 {
		return &codeError{code: exitFail} // the backup stands, and the server's corruption must not go unnoticed
	}
	return err
}

// madeBackup is what 'backup' writes in JSON.
type madeBackup struct {
	backupSummary
	Copies []filledCopy `json:"copies,omitempty"` // of several repositories
}

// known makes a cluster that the repository has not met known to it, and refuses a server that is another cluster.
func (a *app) known(ctx context.Context, s *scene) (*catalog.Cluster, error) {
	identity, err := identify(ctx, s.config)
	if err != nil {
		return nil, &archive.OperatorError{Message: fmt.Sprintf("no backup was made of cluster %q", s.name), Err: err,
			Hint: "is the server running, and is 'connection' in the configuration right?"}
	}
	if len(s.copies) > 0 {
		return a.knownCopies(ctx, s, identity)
	}
	return s.repository.Register(ctx, s.name, identity, a.now())
}

func (a *app) backupOptions(s *scene, bar *term.Bar) archive.BackupOptions {
	connect := connector(s.config)
	return archive.BackupOptions{
		Cluster:       s.cluster,
		Connect:       func(ctx context.Context) (*pgx.Conn, error) { return connect(ctx, "") },
		DataDirectory: s.config.DataDirectory,
		Tool:          version(),
		// An operator or a cron job waits for this command, and a spread checkpoint would take minutes.
		FastCheckpoint: true,
		Logger:         a.log,
		Clock:          a.now,
		Progress: func(p archive.BackupProgress) {
			what := p.Phase
			if p.WaitingFor != "" {
				what += " " + p.WaitingFor
			}
			bar.Show(what, p.Bytes, p.BytesTotal)
		},
	}
}

func (a *app) tellBackup(r catalog.Record, took time.Duration) {
	a.out.Printf("backup %s\n", r.Label)
	a.out.Printf("  %s in %s files, stored as %s, in %s\n",
		term.Bytes(r.ClusterBytes), term.Count(r.Files), term.Bytes(r.StoredBytes), term.Duration(took))
	a.out.Printf("  restores to any moment from %s (%s) on, timeline %d\n", stamp(r.StopTime), r.StopLSN, r.Timeline)
	if n := len(r.DamagedPages); n > 0 {
		a.out.Printf("  %s: %d damaged pages on the server, the first in %s, block %d\n",
			a.out.Paint(term.Bad, "warning"), n, r.DamagedPages[0].Path, r.DamagedPages[0].Block)
	}
}

// stamp writes a moment to the second, in UTC.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z07:00")
}
