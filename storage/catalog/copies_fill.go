package catalog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/wal"
	"lifeboat/storage"
)

// FillReport is what Fill did.
type FillReport struct {
	Copies []FilledCopy // the nearest first
}

// FilledCopy is what Fill did for one copy.
type FilledCopy struct {
	Copy    string
	Err     error // why it could not be asked
	Objects int   // that were copied
	Bytes   int64
	Missing []Problem // what the copy still lacks, and why
}

// Complete says that nothing is missing any more in any copy.
func (r FillReport) Complete() bool {
	return !slices.ContainsFunc(r.Copies, func(c FilledCopy) bool { return c.Err != nil || len(c.Missing) > 0 })
}

// FillProgress is how far Fill is.
type FillProgress struct {
	Copy    string // that is being filled
	Object  string // the WAL file, or the label or id
	Objects int    // copied so far
	Bytes   int64
}

// Fill brings to each copy what it lacks and another one has, byte for byte. What is copied is proven on the way as far
// as the keys at hand allow, so that no damage is copied; a backup's record comes last. What stands in a copy already is
// compared where a new record is to stand for it. Objects are created, never replaced. It can be interrupted and called
// again; several may run at the same time.
//
// What cannot be copied is in the report and does not stop the rest. The error is for what keeps all of it from going on.
func (c *Cluster) Fill(ctx context.Context, progress func(FillProgress)) (FillReport, error) {
	return c.fill(ctx, progress, func(objectGroup) bool { return true })
}

// FillBackup is Fill for one backup.
func (c *Cluster) FillBackup(ctx context.Context, label string, progress func(FillProgress)) (FillReport, error) {
	if err := checkID("backup", label); err != nil {
		return FillReport{}, err
	}
	return c.fill(ctx, progress, func(g objectGroup) bool { return g.kind == groupBackup && g.id == label })
}

func (c *Cluster) fill(ctx context.Context, progress func(FillProgress), wanted func(objectGroup) bool) (FillReport, error) {
	if c.copies == nil {
		return FillReport{}, nil
	}
	f, err := c.newFilling(ctx, progress)
	if err != nil {
		return FillReport{}, err
	}
	for group, err := range c.copies.groups(ctx, f.present) {
		if err != nil {
			return f.report, err
		}
		if !wanted(group) {
			continue
		}
		if err := f.fillGroup(ctx, group); err != nil {
			return f.report, err
		}
	}
	return f.report, nil
}

// FillWAL brings the files of the names to each copy that lacks them. Files that no copy has are passed over.
func (c *Cluster) FillWAL(ctx context.Context, names ...wal.FileName) (FillReport, error) {
	if c.copies == nil {
		return FillReport{}, nil
	}
	f, err := c.newFilling(ctx, nil)
	if err != nil {
		return FillReport{}, err
	}
	for _, name := range names {
		key := c.walKey(name)
		object := heldObject{key: key, by: make([]bool, len(f.present))}
		for i, p := range f.present {
			info, err := p.bucket.Stat(ctx, key)
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return f.report, err
			}
			object.by[i], object.size = err == nil, max(object.size, info.Size)
		}
		if !slices.Contains(object.by, true) {
			continue
		}
		group := objectGroup{kind: groupWAL, id: name.String(), prefix: key, objects: []heldObject{object}}
		if err := f.fillGroup(ctx, group); err != nil {
			return f.report, err
		}
	}
	return f.report, nil
}

// filling is one run of Fill.
type filling struct {
	present  []presentCopy
	report   FillReport
	progress func(FillProgress)
}

func (c *Cluster) newFilling(ctx context.Context, progress func(FillProgress)) (*filling, error) {
	if progress == nil {
		progress = func(FillProgress) {}
	}
	present, lacks, err := c.copies.present(ctx)
	if err != nil {
		return nil, err
	}
	f := &filling{present: present, progress: progress}
	for _, l := range lacks {
		f.report.Copies = append(f.report.Copies, FilledCopy{Copy: l.Copy, Err: l.Err})
	}
	return f, nil
}

// fillGroup brings a group to every copy that lacks some of it. The error is the end of ctx.
func (f *filling) fillGroup(ctx context.Context, g objectGroup) error {
	for i, to := range f.present {
		missing := g.missing(i)
		if len(missing) == 0 {
			continue
		}
		report := &f.report.Copies[to.place]
		f.progress(FillProgress{Copy: to.called, Object: g.id, Objects: report.Objects, Bytes: report.Bytes})
		t := &transfer{to: to.Cluster, group: g, report: report, told: func() {
			f.progress(FillProgress{Copy: to.called, Object: g.id, Objects: report.Objects, Bytes: report.Bytes})
		}}
		err := f.fromAny(ctx, t, i)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			report.Missing = append(report.Missing, Problem{Key: missing[0].key, Err: err})
		}
	}
	return nil
}

// fromAny takes a group from the other copies, first from those that have it whole. What one of them could not give the
// next one may.
func (f *filling) fromAny(ctx context.Context, t *transfer, to int) error {
	var sources []int
	for i := range f.present {
		if i != to {
			sources = append(sources, i)
		}
	}
	slices.SortStableFunc(sources, func(a, b int) int {
		return cmp.Compare(len(t.group.missing(a)), len(t.group.missing(b)))
	})
	var errs []error
	for _, i := range sources {
		err := t.run(ctx, f.present[i].Cluster)
		if err == nil || ctx.Err() != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("copy %s %s from %s: %w", t.group.kind, t.group.id, f.present[i].called, err))
	}
	return errors.Join(errs...)
}

// ErrMixedSeals says that one of two copies was made to hold sealed objects only, and the other one was not.
var ErrMixedSeals = errors.New("one of the two repositories is sealed and the other one is not: all that hold the same cluster must be sealed, or none")

// transfer brings one group of objects from one copy to another.
type transfer struct {
	to     *Cluster
	group  objectGroup
	report *FilledCopy
	told   func()
}

func (t *transfer) run(ctx context.Context, from *Cluster) error {
	if from.sealed != t.to.sealed {
		return ErrMixedSeals
	}
	switch t.group.kind {
	case groupWAL:
		name, ok := from.parseWALKey(t.group.prefix)
		if !ok {
			return fmt.Errorf("%s: %w", t.group.prefix, ErrName)
		}
		return t.copyWAL(ctx, from, name)
	case groupBackup:
		return t.copyBackup(ctx, from)
	case groupDrill:
		return t.copyEvidence(ctx, from)
	case groupDump:
		return t.copyDump(ctx, from)
	case groupCensus:
		return t.copyDocument(ctx, from, t.group.prefix+documentSuffix, kindCensus)
	default:
		return t.copyDocument(ctx, from, t.group.prefix+documentSuffix, kindFinding)
	}
}

// counted notes an object that was copied.
func (t *transfer) counted(size int64) {
	t.report.Objects++
	t.report.Bytes += size
	t.told()
}

// copyDocument copies a document that proves itself, and its signature before it.
func (t *transfer) copyDocument(ctx context.Context, from *Cluster, key, kind string) error {
	raw, err := from.getBytes(ctx, key)
	if err != nil {
		return err
	}
	envelope, err := openEnvelope(key, kind, raw)
	if err == nil && isSigned(kind) {
		err = from.checkSignature(ctx, key, raw)
	}
	if err == nil && (kind == kindCensus || kind == kindEvidence || kind == kindDump) {
		err = t.checkDocumentForm(key, envelope)
	}
	if err != nil {
		return err
	}
	if err := t.copySignature(ctx, from, key); err != nil {
		return err
	}
	return t.create(ctx, key, raw)
}

// isSigned says whether documents of the kind are signed where there is a key to sign with.
func isSigned(kind string) bool {
	return kind == kindRecord || kind == kindEvidence || kind == kindCensus || kind == kindDump
}

// checkDocumentForm keeps what is not sealed out of a sealed repository.
func (t *transfer) checkDocumentForm(key string, e envelope) error {
	var document named
	if err := json.Unmarshal(e.Body, &document); err != nil {
		return &DamagedError{Key: key, Detail: "body", Err: err}
	}
	return t.to.checkForm(key, document.Sealed != nil)
}

// copySignature copies the signature of a document where there is one.
func (t *transfer) copySignature(ctx context.Context, from *Cluster, key string) error {
	raw, err := from.getBytes(ctx, key+signatureSuffix)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.create(ctx, key+signatureSuffix, raw)
}

// create stores an object of known content; the same content that is there already is fine.
func (t *transfer) create(ctx context.Context, key string, content []byte) error {
	err := t.to.claimBytes(ctx, key, content)
	if err == nil {
		t.counted(int64(len(content)))
		return nil
	}
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	there, err := t.to.getBytes(ctx, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, content) {
		return fmt.Errorf("%s: the copies hold different objects: %w", key, storage.ErrExists)
	}
	return nil
}

// copyEvidence copies the files of a drill and then the document that stands for them.
func (t *transfer) copyEvidence(ctx context.Context, from *Cluster) error {
	document, err := from.evidence(ctx, t.group.id)
	if err != nil && !isLocked(err) {
		return err
	}
	for name, want := range document.Files {
		key := from.drillKey(t.group.id, name)
		content, err := from.evidenceFile(ctx, key, want)
		if err == nil {
			err = t.create(ctx, key, content)
		}
		if err != nil {
			return err
		}
	}
	return t.copyDocument(ctx, from, from.drillKey(t.group.id, evidenceFile), kindEvidence)
}

// copyDump copies the pieces of a dump and then the document that stands for them.
func (t *transfer) copyDump(ctx context.Context, from *Cluster) error {
	document, err := from.dump(ctx, t.group.id)
	if err != nil && !isLocked(err) {
		return err
	}
	for _, piece := range from.dumpPieces(t.group.id, document) {
		if err := t.copyObject(ctx, from, piece); err != nil {
			return err
		}
	}
	return t.copyDocument(ctx, from, from.dumpKey(t.group.id, dumpFile), kindDump)
}
