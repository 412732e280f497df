package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/wal"
)

// finish brings what a restore adds to the backup, makes all directories durable, and puts pg_control in its place as
// the very last, since no server starts without it.
func (r *restorer) finish(ctx context.Context) error {
	steps := []func(context.Context) error{
		r.writeOwnFiles, r.linkTablespaces, r.syncDirectories, r.releaseTablespaces, r.writeControl,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
	return r.releaseData()
}

// writeOwnFiles writes the files that make the server recover, and to where.
func (r *restorer) writeOwnFiles(context.Context) error {
	settings, err := r.settingsText()
	if err != nil {
		return err
	}
	files := []ownFile{{path: autoConfPath, content: settings}, {path: signalPath}}
	if !r.layout.hasLabel {
		files = append(files, ownFile{path: backupLabelPath, content: []byte(r.plan.record.BackupLabel)})
	}
	if len(r.options.Config) > 0 {
		files = append(files, ownFile{path: ConfigPath, content: r.options.Config})
	}
	if r.plan.orphanHistory {
		files = append(files, ownFile{path: "pg_wal/" + wal.HistoryFile(r.plan.Timeline).String(), content: []byte(orphanText)})
	}
	for _, f := range files {
		if err := r.sites[0].write(f); err != nil {
			return err
		}
	}
	return nil
}

// orphanText is a history file without ancestors. PostgreSQL refuses to recover along a timeline without the file.
const orphanText = "# Lifeboat: the history file of this timeline was never archived. No WAL of earlier timelines is needed.\n"

// settingsText is the restored postgresql.auto.conf with the recovery's settings behind it, which win there.
func (r *restorer) settingsText() ([]byte, error) {
	text, err := r.sites[0].read(autoConfPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if r.options.OnlyOwnSettings {
		text = nil
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	own := "# Recovery as Lifeboat has planned it, from backup " + r.plan.Backup.Label + ".\n" + renderSettings(r.plan.Settings)
	return append(text, own...), nil
}

// ownFile is a small file that is not the backup's.
type ownFile struct {
	path    string
	content []byte
}

// read returns a small file of the site.
func (s *site) read(name string) ([]byte, error) {
	file, err := s.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, nil
}

// write makes or replaces a file, durable but for its name.
func (s *site) write(f ownFile) error {
	if err := s.root.MkdirAll(path.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	file, err := s.root.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	_, err = file.Write(f.content)
	if err := errors.Join(err, file.Chmod(0o600), s.give(file), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	return nil
}

// linkTablespaces makes the links by which the data directory finds its tablespaces.
func (r *restorer) linkTablespaces(context.Context) error {
	data := r.sites[0]
	for _, space := range r.plan.Tablespaces {
		link := tablespacesDir + strconv.FormatUint(uint64(space.OID), 10)
		err := data.root.Symlink(space.Target, link)
		if err == nil && data.owner != nil {
			err = data.root.Lchown(link, data.owner.UID, data.owner.GID)
		}
		if err != nil {
			return fmt.Errorf("link tablespace %s: %w", space.Name, err)
		}
	}
	return nil
}

// syncDirectories makes the names of all files durable.
func (r *restorer) syncDirectories(ctx context.Context) error {
	if r.options.Volatile {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(settlers)
	for _, s := range r.sites {
		group.Go(func() error { return syncDir(s.root, ".") })
	}
	for _, d := range r.layout.directories {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return syncDir(r.sites[d.site].root, d.path)
		})
	}
	return group.Wait()
}

func (r *restorer) releaseTablespaces(context.Context) error {
	for _, s := range r.sites[1:] {
		if err := errors.Join(s.release(), s.syncParents()); err != nil {
			return err
		}
	}
	return nil
}

// writeControl puts pg_control into place by a rename, so that it is there whole or not at all.
func (r *restorer) writeControl(ctx context.Context) error {
	content, err := r.readControl(ctx)
	if err != nil {
		return err
	}
	data := r.sites[0]
	const making = controlPath + ".lifeboat"
	if err := data.write(ownFile{path: making, content: content}); err != nil {
		return err
	}
	if err := data.root.Rename(making, controlPath); err != nil {
		return fmt.Errorf("put pg_control in place: %w", err)
	}
	r.meter.add(1, int64(len(content)))
	return syncDir(data.root, path.Dir(controlPath))
}

// maxControl is more than any pg_control has, in bytes (PG_CONTROL_FILE_SIZE is 8192).
const maxControl = 1 << 16

func (r *restorer) readControl(ctx context.Context) ([]byte, error) {
	entry, err := r.index.File(ctx, controlPath)
	if err != nil {
		return nil, fmt.Errorf("read pg_control: %w", err)
	}
	if entry.Size == 0 || entry.Size > maxControl {
		return nil, &ContentError{Path: controlPath, Reason: fmt.Sprintf("has %d bytes", entry.Size)}
	}
	content := make([]byte, entry.Size)
	if n, err := r.index.ReadAt(ctx, controlPath, content, 0); n < len(content) {
		return nil, fmt.Errorf("read pg_control: %w", err)
	}
	return content, nil
}

func (r *restorer) releaseData() error {
	return errors.Join(r.sites[0].release(), r.sites[0].syncParents())
}
