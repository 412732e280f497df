package archive

import (
	"context"
	"fmt"

	"lifeboat/internal/control"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// The major versions that a backup can be taken of.
const (
	oldestMajor = 13
	newestMajor = 18
)

// archivingLines are what turns archiving on.
const archivingLines = "in postgresql.conf:\n" +
	"  wal_level = replica\n" +
	"  archive_mode = on\n" +
	"  archive_command = 'lifeboat-wal push %p'\n" +
	"then restart the server"

// checkServer proves that the server is one that can be backed up, and this cluster.
func (b *baseBackup) checkServer(ctx context.Context) error {
	if major := b.session.major(); major < oldestMajor || major > newestMajor {
		return fmt.Errorf("the server is PostgreSQL %d; backups are made of %d to %d", major, oldestMajor, newestMajor)
	}
	err := checkPrivileges(ctx, b.session.conn, b.session.major())
	if err != nil {
		return err
	}
	if b.server, err = b.session.facts(ctx); err != nil {
		return err
	}
	if err := b.server.check(); err != nil {
		return err
	}
	if b.server.identity != b.Cluster.Identity() {
		return &catalog.ForeignError{Name: b.Cluster.Name(), Have: b.Cluster.Identity(), Offered: b.server.identity}
	}
	return b.checkArchiver(ctx)
}

func (f serverFacts) check() error {
	switch {
	case f.inRecovery:
		return &OperatorError{
			Message: "the server is in recovery: backups are taken of a primary",
			Hint:    "run the backup on the primary's host, with its connection and data directory",
		}
	case !f.archives():
		return &OperatorError{
			Message: fmt.Sprintf("the server does not archive its WAL: archive_mode is %q, archive_command %q",
				f.archiveMode, f.archiveCommand),
			Hint: archivingLines,
		}
	}
	return nil
}

// checkArchiver warns beforehand about what would let the backup wait in vain at its end.
func (b *baseBackup) checkArchiver(ctx context.Context) error {
	state, err := b.session.archiver(ctx)
	if err != nil {
		return err
	}
	if state.failing() {
		b.Logger.Warn("archiving fails; the backup cannot end before it works again", "state", state.String())
	}
	return nil
}

// checkDirectory proves that the data directory is of this cluster. That it is the server's own and not a copy shows
// once the backup has started.
func (b *baseBackup) checkDirectory(ctx context.Context) error {
	if b.DataDirectory == "" {
		b.DataDirectory = b.server.dataDirectory
	}
	_, c, err := readControl(ctx, b.DataDirectory)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", b.DataDirectory, err)
	}
	if c.SystemIdentifier != b.server.identity.SystemIdentifier {
		return b.wrongDirectory(fmt.Sprintf("its system identifier is %d, the server's %d",
			c.SystemIdentifier, b.server.identity.SystemIdentifier))
	}
	b.control = c
	return nil
}

// checkLive proves that the directory is the one that the server runs on: the checkpoint that has started the backup
// stands in its pg_control.
func (b *baseBackup) checkLive(ctx context.Context, start wal.LSN) error {
	_, c, err := readControl(ctx, b.DataDirectory)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", b.DataDirectory, err)
	}
	if !live(c, start) {
		return b.wrongDirectory(fmt.Sprintf("the backup's checkpoint at %s is not in its pg_control", start))
	}
	return nil
}

// live tells the pg_control of a running primary after the checkpoint at start from that of a copy or a standby.
func live(c control.Control, start wal.LSN) bool {
	return c.State == control.InProduction && c.Redo >= start
}

func (b *baseBackup) wrongDirectory(why string) error {
	return &OperatorError{
		Message: fmt.Sprintf("%s is not the data directory that the server runs on: %s", b.DataDirectory, why),
		Hint: fmt.Sprintf("the server says %s; set data_directory to that, and run the backup on the server's host",
			b.server.dataDirectory),
	}
}
