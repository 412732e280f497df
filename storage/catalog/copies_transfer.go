package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// copyWAL brings the object of an archived file to local disk, proves it there, and stores it.
func (t *transfer) copyWAL(ctx context.Context, from *Cluster, name wal.FileName) error {
	object, err := unnamedFile()
	if err != nil {
		return err
	}
	defer object.Close()
	key := from.walKey(name)
	src, err := from.bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	size, err := io.Copy(object, src)
	if err := errors.Join(err, src.Close()); err != nil {
		return err
	}
	h, digest, err := from.proveWAL(key, name, io.NewSectionReader(object, 0, size))
	if err != nil {
		return err
	}
	body := io.NewSectionReader(object, 0, size)
	err = t.to.put(ctx, key, body, storage.PutOptions{IfAbsent: true, Size: size})
	if errors.Is(err, storage.ErrExists) {
		return t.sameWAL(ctx, name, walObject{header: h, digest: digest})
	}
	if err == nil {
		t.counted(size)
	}
	return err
}

// sameWAL makes sure that a file which came to be there meanwhile is the same. Its object may be another one.
func (t *transfer) sameWAL(ctx context.Context, name wal.FileName, at walObject) error {
	there, digest, err := t.to.checkWAL(ctx, name)
	if err != nil {
		return err
	}
	if at.header.Locked != nil && there.Locked == nil {
		there.Locked = at.header.Locked // only the digests can be compared
	}
	same, err := t.to.sameWAL(there, digest, at)
	if err == nil && !same {
		err = t.to.conflict(there, digest, at)
	}
	return err
}

// copyBackup copies all objects of a backup, its record last. Nobody must take the backup for dead meanwhile, which is
// seen by the started document, as by a writer (see checkStillStarted).
func (t *transfer) copyBackup(ctx context.Context, from *Cluster) error {
	rec, err := from.Record(ctx, t.group.id)
	if err != nil {
		return err
	}
	if err := t.copyDocument(ctx, from, from.startedKey(rec.Label), kindStarted); err != nil {
		return err
	}
	if err := t.copyContents(ctx, from, rec); err != nil {
		return err
	}
	if err := t.copyDocument(ctx, from, from.recordKey(rec.Label), kindRecord); err != nil {
		return err
	}
	return t.to.checkStillStarted(ctx, rec.Label)
}

// copyContents copies the packs and the index of a backup.
func (t *transfer) copyContents(ctx context.Context, from *Cluster, rec Record) error {
	packs, err := t.packs(ctx, from, rec)
	if err != nil {
		return err
	}
	for _, pack := range packs {
		if err := t.copyObject(ctx, from, pack); err != nil {
			return err
		}
	}
	return t.copyObject(ctx, from, storedObject{
		key: from.indexKey(rec.Label), fileSum: fileSum{Size: rec.Index.Size, SHA256: rec.Index.SHA256},
	})
}

// storedObject is an object and what it must be, where that is known: else SHA256 is empty.
type storedObject struct {
	key string
	fileSum
}

// packs are those of the backup itself. Where its index cannot be opened, they are those that the source holds, and no
// more than their sizes is known.
func (t *transfer) packs(ctx context.Context, from *Cluster, rec Record) ([]storedObject, error) {
	var packs []storedObject
	ix, err := from.OpenIndex(ctx, rec)
	if isLocked(err) {
		return from.listPacks(ctx, rec.Label)
	}
	if err != nil {
		return nil, err
	}
	for _, pack := range ix.packs {
		if pack.label != rec.Label {
			continue // it belongs to another backup, and goes with that one
		}
		packs = append(packs, storedObject{
			key: from.packKey(pack), fileSum: fileSum{Size: pack.size, SHA256: hex.EncodeToString(pack.sum[:])},
		})
	}
	return packs, nil
}

func (c *Cluster) listPacks(ctx context.Context, label string) ([]storedObject, error) {
	var packs []storedObject
	for info, err := range c.bucket.List(ctx, c.backupPrefix(label)+packsFolder) {
		if err != nil {
			return nil, err
		}
		packs = append(packs, storedObject{key: info.Key, fileSum: fileSum{Size: info.Size}})
	}
	return packs, nil
}

// copyObject copies an object as a stream. One that is there already is read and compared, since a record is going to
// stand for it.
func (t *transfer) copyObject(ctx context.Context, from *Cluster, o storedObject) error {
	if _, err := t.to.bucket.Stat(ctx, o.key); err == nil {
		return t.compareObject(ctx, from, o)
	} else if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	body := &provenBody{size: o.Size, want: o.SHA256, key: o.key, open: func() (io.ReadCloser, error) {
		return from.openStored(ctx, o.key, 0, -1)
	}}
	err := t.to.put(ctx, o.key, body, storage.PutOptions{IfAbsent: true, Size: o.Size})
	err = errors.Join(err, body.Close())
	if errors.Is(err, storage.ErrExists) {
		return t.compareObject(ctx, from, o)
	}
	if err == nil {
		t.counted(o.Size)
	}
	return err
}

// compareObject compares an object with what it must be, and where that is not known with the source's.
func (t *transfer) compareObject(ctx context.Context, from *Cluster, o storedObject) error {
	there, err := t.to.sumStored(ctx, o.key)
	if err != nil {
		return err
	}
	if o.SHA256 == "" {
		if o.fileSum, err = from.sumStored(ctx, o.key); err != nil {
			return err
		}
	}
	if there != o.fileSum {
		return damaged(o.key, "in the copy that lacks a part of what it belongs to is another one than it should be")
	}
	return nil
}

// sumStored reads an object whole, as it is stored.
func (s *store) sumStored(ctx context.Context, key string) (fileSum, error) {
	r, err := s.openStored(ctx, key, 0, -1)
	if err != nil {
		return fileSum{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return fileSum{}, fmt.Errorf("read %s: %w", key, err)
	}
	return fileSum{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// provenBody is an object on its way from one store to another. Its last byte is given out only when all of it has proven
// to be what it must be, so that nothing else can become an object. It can be read again from the start.
type provenBody struct {
	open func() (io.ReadCloser, error)
	key  string
	size int64
	want string // hexadecimal SHA-256; empty where it is not known

	src  io.ReadCloser // nil before the first byte
	sum  hash.Hash
	read int64
}

func (b *provenBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.src == nil {
		src, err := b.open()
		if err != nil {
			return 0, err
		}
		b.src, b.sum, b.read = src, sha256.New(), 0
	}
	if b.read == b.size {
		return 0, b.end()
	}
	n, err := b.src.Read(p[:min(int64(len(p)), b.size-b.read)])
	b.sum.Write(p[:n])
	b.read += int64(n)
	if n > 0 && b.read == b.size {
		if err := b.end(); !errors.Is(err, io.EOF) {
			return n - 1, err
		}
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = damaged(b.key, "has %d bytes, not %d", b.read, b.size)
	}
	return n, err
}

// end is io.EOF where all that was read is what it must be, and the source has no more.
func (b *provenBody) end() error {
	if n, err := io.ReadFull(b.src, make([]byte, 1)); n > 0 {
		return damaged(b.key, "has more than %d bytes", b.size)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	if b.want != "" && hex.EncodeToString(b.sum.Sum(nil)) != b.want {
		return damaged(b.key, "has another checksum than it should")
	}
	return io.EOF
}

// Seek tells where it is, and goes back to the start; it can do nothing else. A retry needs no more.
func (b *provenBody) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekCurrent && offset == 0 && b.src == nil:
		return 0, nil
	case whence == io.SeekCurrent && offset == 0:
		return b.read, nil
	case whence == io.SeekStart && offset == 0:
		return 0, b.Close()
	}
	return 0, fmt.Errorf("seek in %s to other than the start: %w", b.key, errors.ErrUnsupported)
}

// Close lets go of the source.
func (b *provenBody) Close() error {
	if b.src == nil {
		return nil
	}
	err := b.src.Close()
	b.src = nil
	return err
}
