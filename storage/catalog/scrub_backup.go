package catalog

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"lifeboat/storage"
)

// checkBackups checks the objects of all backups. It runs in the goroutine that sends objects to their checks.
func (s *clusterScrub) checkBackups() error {
	for _, label := range slices.Sorted(maps.Keys(s.backups)) {
		b := &backupScrub{clusterScrub: s, label: label, names: s.backups[label]}
		b.checkStarted()
		if !slices.Contains(b.names, recordFile) {
			s.unfinished(s.cluster.name+"/"+label, b.keys(b.names, startedFile))
			continue
		}
		if err := b.checkCommitted(); err != nil {
			return err
		}
	}
	return nil
}

// backupScrub checks the objects of one backup.
type backupScrub struct {
	*clusterScrub
	label string
	names []string // of its objects, below backups/<label>/
}

// keys are those of the names, but for the ones that are checked elsewhere.
func (b *backupScrub) keys(names []string, but ...string) []string {
	var keys []string
	for _, name := range names {
		if !slices.Contains(but, name) {
			keys = append(keys, b.cluster.backupPrefix(b.label)+name)
		}
	}
	return keys
}

// checkStarted checks the first document of a backup, which may be absent where only leavings are left.
func (b *backupScrub) checkStarted() {
	key := b.cluster.startedKey(b.label)
	b.check(key, damageDocument, func(ctx context.Context) error {
		var started StartedBackup
		err := b.cluster.getDocument(ctx, key, kindStarted, &started)
		switch {
		case errors.Is(err, storage.ErrNotFound) && !slices.Contains(b.names, recordFile):
			return nil
		case errors.Is(err, storage.ErrNotFound):
			return damaged(key, "is missing")
		case err == nil && started.Label != b.label:
			return damaged(key, "is the document of backup %q", started.Label)
		}
		return err
	})
}

// checkCommitted checks the record, then the index that it names, then the packs that the index names. Where one is
// damaged, what it stands for is not read.
func (b *backupScrub) checkCommitted() error {
	if slices.Contains(b.names, recordFile+signatureSuffix) {
		b.checkSignature(b.cluster.recordKey(b.label))
	}
	var rec Record
	sound := false
	err := b.checkNow(b.cluster.recordKey(b.label), damageDocument, func(ctx context.Context) (err error) {
		rec, err = b.cluster.Record(ctx, b.label)
		sound = err == nil
		return errors.Join(err, rec.Locked)
	})
	if err != nil || !sound {
		return err
	}
	return b.checkContent(rec)
}

func (b *backupScrub) checkContent(rec Record) error {
	frames := newFrameSpool()
	defer frames.close()
	var ix *Index
	locked := false
	err := b.checkNow(b.cluster.indexKey(b.label), damageIndex, func(ctx context.Context) (err error) {
		opened, err := b.cluster.OpenIndex(ctx, rec)
		if isLocked(err) {
			locked = true
			return b.cluster.checkLocked(ctx, rec, err)
		}
		if err != nil {
			return err
		}
		if err := opened.checkWhole(ctx, frames.addEntry); err != nil {
			return err
		}
		ix = opened
		return nil
	})
	if locked {
		b.unproven(damagePack, "the index that stands for it cannot be opened", b.keys(b.packNames())...)
	}
	if err != nil || ix == nil {
		return err
	}
	b.reportStrays(ix)
	return b.checkPacks(ix, frames)
}

// checkLocked proves of an index that cannot be opened, as why says, that it is the one that the record stands for.
func (c *Cluster) checkLocked(ctx context.Context, rec Record, why error) error {
	in, err := c.openWhole(ctx, c.indexKey(rec.Label), rec.Index.Size, true, rec.Index.SHA256)
	if err != nil {
		return err
	}
	return errors.Join(why, in.Close())
}

// packNames are the names of all objects below packs/.
func (b *backupScrub) packNames() []string {
	var names []string
	for _, name := range b.names {
		if strings.HasPrefix(name, packsFolder) {
			names = append(names, name)
		}
	}
	return names
}

// reportStrays notes objects that the index does not name.
func (b *backupScrub) reportStrays(ix *Index) {
	known := map[string]bool{startedFile: true, recordFile: true, recordFile + signatureSuffix: true, indexFile: true}
	for _, p := range ix.packs {
		if p.label == b.label {
			known[p.name()] = true
		}
	}
	strays := slices.DeleteFunc(slices.Clone(b.names), func(name string) bool { return known[name] })
	b.unknown(b.keys(strays)...)
}

// checkPacks sends every pack to its check, with the frames that the index says are in it.
func (b *backupScrub) checkPacks(ix *Index, frames *frameSpool) error {
	next := 0
	for pack, inIt := range frames.byPack(len(ix.packs)) {
		if inIt.err != nil {
			return inIt.err
		}
		key := b.cluster.packKey(ix.packs[pack])
		b.check(key, damagePack, func(ctx context.Context) error {
			return ix.checkPack(ctx, pack, inIt.frames)
		})
		next = pack + 1
	}
	if next != len(ix.packs) {
		return b.ctx.Err()
	}
	return nil
}
