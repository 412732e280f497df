package storm

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/storage/retry"
)

const (
	clusterName = "main"
	segments    = 6 // that a voyage archives
	attempts    = 4 // at each file and each backup
	watchPause  = 20 * time.Millisecond
)

// stormTime is now, in every schedule.
var stormTime = time.Date(2026, 11, 22, 10, 21, 3, 0, time.UTC)

func identity() catalog.Identity {
	return catalog.Identity{SystemIdentifier: systemIdentifier, WALSegmentSize: segmentSize}
}

// ship is a client of a repository in trouble, and keeps the book of what it was told.
type ship struct {
	*log
	ctx     context.Context
	seed    uint64
	place   place
	cluster *catalog.Cluster // seen through the trouble
	agent   *catalog.Cluster // the same without an identity: who archives and backs up can open nothing

	book      sync.Mutex
	offered   map[string]cargo // by name: files that were ever pushed
	safe      map[string]bool  // names that were acknowledged
	trees     map[string]tree  // by label: backups that were ever started
	tried     map[string]bool  // labels whose commit was tried
	committed map[string]bool  // labels whose commit was acknowledged
}

// cargo is a file to archive.
type cargo struct {
	file    catalog.WALFile
	content []byte
}

func newShip(ctx context.Context, seed uint64, p place) *ship {
	return &ship{
		log: &log{}, ctx: ctx, seed: seed, place: p,
		offered: map[string]cargo{}, safe: map[string]bool{},
		trees: map[string]tree{}, tried: map[string]bool{}, committed: map[string]bool{},
	}
}

// voyage runs one schedule: archiving, backing up and reading at the same time, and then a look at what is there.
func voyage(ctx context.Context, seed uint64, p place) *log {
	s := newShip(ctx, seed, p)
	if !s.embark(retry.Wrap(p.rough, patience(seed))) {
		s.violation("the repository could not be opened, though all trouble was to pass")
		return s.log
	}
	var work, watch sync.WaitGroup
	work.Go(func() { s.archive(0) })
	work.Go(func() { s.archive(1) })
	work.Go(s.backUp)
	home := make(chan struct{})
	watch.Go(func() { s.lookOut(home) })
	work.Wait()
	close(home)
	watch.Wait()
	s.aftermath()
	return s.log
}

// embark creates the repository and opens it, however often it takes.
func (s *ship) embark(b storage.Bucket) bool {
	for range 100 {
		err := s.board(b)
		if err == nil {
			return true
		}
		s.failure("create the repository", err)
	}
	return false
}

func (s *ship) board(b storage.Bucket) error {
	create, keys := catalog.Create, s.place.keys
	if keys.Recipients != nil {
		create = catalog.CreateSealed
	}
	repo, err := create(s.ctx, b, stormTime)
	if err != nil {
		return err
	}
	s.cluster, err = repo.With(keys).Register(s.ctx, clusterName, identity(), stormTime)
	if err != nil {
		return err
	}
	keys.Identities = nil
	s.agent, err = repo.With(keys).Cluster(s.ctx, clusterName)
	return err
}

// failure looks at an error that an outage may well be the reason of.
func (s *ship) failure(what string, err error) {
	s.count(&s.failed)
	var conflict *catalog.ConflictError
	var foreign *catalog.ForeignError
	var version *catalog.VersionError
	var unsigned *catalog.UnsignedError
	var incomparable *catalog.IncomparableError
	switch {
	case errors.As(err, &conflict), errors.As(err, &foreign), errors.As(err, &version), errors.As(err, &incomparable),
		errors.As(err, &unsigned) && !s.place.flips():
		s.violation("%s: the trouble was taken for another's deed: %v", what, err)
	case isDamage(err) && !s.place.flips():
		s.violation("%s: the trouble was taken for damage: %v", what, err)
	}
}

// present is failure for something that is there, and must not seem absent.
func (s *ship) present(what string, err error) {
	for _, absent := range []error{storage.ErrNotFound, catalog.ErrNoRepository, catalog.ErrNoCluster} {
		if errors.Is(err, absent) {
			s.violation("%s: it is there and seems absent: %v", what, err)
		}
	}
	s.failure(what, err)
}

func isDamage(err error) bool {
	var damage *catalog.DamagedError
	return errors.As(err, &damage)
}

// archive pushes every second segment, and now and then one again.
func (s *ship) archive(which uint32) {
	rng := rand.New(rand.NewPCG(s.seed, 100+uint64(which)))
	for number := 1 + which; number <= segments; number += 2 {
		file, content := segment(s.seed, number)
		s.push(cargo{file, content})
		if rng.IntN(2) == 0 {
			s.pushAgain(rng)
		}
	}
	if which == 0 {
		file, content := history(2)
		s.push(cargo{file, content})
	}
}

func (s *ship) push(c cargo) {
	name := c.file.Name.String()
	s.enter(func() { s.offered[name] = c })
	for range attempts {
		_, err := s.agent.PutWAL(s.ctx, c.file, stormTime)
		if err == nil {
			s.count(&s.acknowledged)
			s.enter(func() { s.safe[name] = true })
			return
		}
		if errors.Is(err, storage.ErrNotFound) {
			s.violation("push %s: what is there seems absent: %v", name, err)
		}
		s.failure("push "+name, err)
	}
}

// pushAgain archives a file that is safe once more, as PostgreSQL does after a crash.
func (s *ship) pushAgain(rng *rand.Rand) {
	c, ok := s.anySafe(rng)
	if !ok {
		return
	}
	stored, err := s.agent.PutWAL(s.ctx, c.file, stormTime)
	if stored {
		s.violation("push %s again: it was acknowledged before, and yet was not there", c.file.Name)
	}
	if err != nil {
		s.present("push "+c.file.Name.String()+" again", err)
	}
}

func (s *ship) enter(note func()) {
	s.book.Lock()
	defer s.book.Unlock()
	note()
}

func (s *ship) anySafe(rng *rand.Rand) (c cargo, ok bool) {
	s.enter(func() {
		names := slices.Sorted(maps.Keys(s.safe))
		if len(names) > 0 {
			c, ok = s.offered[names[rng.IntN(len(names))]], true
		}
	})
	return c, ok
}

// lookOut reads until the others are done, and then everything once more.
func (s *ship) lookOut(home <-chan struct{}) {
	rng := rand.New(rand.NewPCG(s.seed, 200))
	for {
		select {
		case <-home:
			s.readAll(rng)
			return
		case <-s.ctx.Done():
			return
		case <-time.After(watchPause):
		}
		if c, ok := s.anySafe(rng); ok {
			s.read(c)
		}
		s.readAbsent()
		s.readInventory()
		s.readBackups(rng)
	}
}

func (s *ship) readAll(rng *rand.Rand) {
	for _, name := range slices.Sorted(maps.Keys(s.safe)) {
		s.read(s.offered[name])
	}
	s.readInventory()
	s.readBackups(rng)
}

// read reads a file that is safe by every way there is.
func (s *ship) read(c cargo) {
	name := c.file.Name
	var got bytes.Buffer
	_, err := s.cluster.GetWAL(s.ctx, name, &got)
	switch {
	case err != nil:
		s.present("get "+name.String(), err)
	case !bytes.Equal(got.Bytes(), c.content):
		s.violation("get %s: other bytes than were pushed", name)
	default:
		s.count(&s.reads)
	}
	h, err := s.cluster.WALHeader(s.ctx, name)
	switch {
	case err != nil:
		s.present("header of "+name.String(), err)
	case h.Name != name.String() || h.Size != c.file.Size:
		s.violation("header of %s is %+v", name, h)
	}
	if _, err := s.agent.CheckWAL(s.ctx, name); err != nil {
		s.present("check "+name.String(), err)
	}
	if name.Kind == wal.Segment && name.Seg > 0 {
		before := name
		before.Seg = 0
		later, err := s.cluster.HasLaterWAL(s.ctx, before)
		switch {
		case err != nil:
			s.failure("look for later WAL", err)
		case !later:
			s.violation("no WAL seems to be later than %s, though %s is there", before, name)
		}
	}
}

// readAbsent asks for what nobody ever stored.
func (s *ship) readAbsent() {
	file, _ := segment(s.seed, segments+7)
	var got bytes.Buffer
	_, err := s.cluster.GetWAL(s.ctx, file.Name, &got)
	if err == nil {
		s.violation("get %s: nobody ever pushed it", file.Name)
	} else if !errors.Is(err, storage.ErrNotFound) {
		s.failure("get "+file.Name.String(), err)
	}
}

// readInventory takes an inventory, which holds at least what was safe before.
func (s *ship) readInventory() {
	var safe []wal.FileName
	var committed []string
	s.enter(func() {
		for name := range s.safe {
			safe = append(safe, s.offered[name].file.Name)
		}
		committed = slices.Sorted(maps.Keys(s.committed))
	})
	inv, err := s.cluster.Inventory(s.ctx)
	if err != nil {
		s.present("inventory", err)
		return
	}
	if len(inv.Problems) > 0 {
		if !s.place.flips() {
			s.violation("inventory: the trouble was taken for damage: %v", inv.Problems)
		}
		return
	}
	s.count(&s.reads)
	for _, name := range safe {
		if !inInventory(inv, name) {
			s.violation("inventory: %s is safe and not in it", name)
		}
	}
	for _, label := range committed {
		if !slices.ContainsFunc(inv.Backups, func(rec catalog.Record) bool { return rec.Label == label }) {
			s.violation("inventory: backup %s is committed and not in it", label)
		}
	}
}

func inInventory(inv *catalog.Inventory, name wal.FileName) bool {
	if name.Kind == wal.History {
		_, ok := inv.Histories[name.Timeline]
		return ok
	}
	start := name.Start(segmentSize)
	return slices.ContainsFunc(inv.Runs, func(run catalog.WALRun) bool {
		return run.Timeline == name.Timeline && run.From <= start && start < run.To
	})
}
