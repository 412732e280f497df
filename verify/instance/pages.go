package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/control"
	"lifeboat/internal/page"
	"lifeboat/internal/relfile"
	"lifeboat/internal/wal"
)

// PagesOptions say how pages are read.
type PagesOptions struct {
	Directory string // the data directory of a server that has shut down
	Workers   int    // files that are read at the same time; at least 1
}

// Pages checks the checksum of every page of every relation in the data directory of a server that has shut down.
// Tablespaces are followed. The finding is NotRun where the cluster has no checksums.
func Pages(ctx context.Context, o PagesOptions) Finding {
	const doing = "check the pages' checksums"
	raw, err := os.ReadFile(filepath.Join(o.Directory, "global", "pg_control"))
	if err != nil {
		return refused(doing, err)
	}
	c, err := control.Parse(raw)
	if err != nil {
		return refused(doing, err)
	}
	switch {
	case c.DataChecksumVersion == 0:
		return found(NotRun, "the cluster has no data checksums")
	case c.State != control.ShutDown && c.State != control.ShutDownInRecovery:
		return found(Unproven, "the scratch server did not shut down, so its pages may be half written")
	case c.BlockSize != page.Size:
		return found(Unproven, "pages have %d bytes, not %d", c.BlockSize, page.Size)
	}
	files, err := relationFiles(o.Directory)
	if err != nil {
		return refused(doing, err)
	}
	p := &pages{segment: c.BlocksPerSegment, directory: o.Directory}
	return p.checkAll(ctx, files, max(1, o.Workers))
}

// relationFiles lists the files that hold pages, relative to the directory. Tablespaces are links, which a walk does
// not follow by itself.
func relationFiles(directory string) ([]string, error) {
	links, err := filepath.Glob(filepath.Join(directory, "pg_tblspc", "*"))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, top := range append([]string{filepath.Join(directory, "global"), filepath.Join(directory, "base")}, links...) {
		resolved, err := filepath.EvalSymlinks(top)
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(resolved, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			below, err := filepath.Rel(resolved, path)
			place := filepath.Join(strings.TrimPrefix(top, directory+"/"), below)
			if _, ok := relfile.ParseRelation(filepath.ToSlash(place)); ok {
				files = append(files, place)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// pages reads files and keeps what is wrong with each.
type pages struct {
	directory string
	segment   uint32 // blocks of a relation's segment file
}

// state is what was found out about one file.
type state struct {
	blocks int64
	bad    []uint32 // the first few, counted from the relation's start
	more   int64    // further bad ones
	short  bool     // it ends within a page
}

func (p *pages) checkAll(ctx context.Context, files []string, workers int) Finding {
	states := make([]state, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i, place := range files {
		group.Go(func() (err error) {
			states[i], err = p.check(ctx, place)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return refused("check the pages' checksums", err)
	}
	return judgePages(files, states)
}

func judgePages(files []string, states []state) Finding {
	var blocks int64
	var broken []string
	for i, s := range states {
		blocks += s.blocks
		for _, block := range s.bad {
			broken = append(broken, fmt.Sprintf("block %d of %s", block, files[i]))
		}
		if s.more > 0 {
			broken = append(broken, fmt.Sprintf("%d further blocks of %s", s.more, files[i]))
		}
		if s.short {
			broken = append(broken, files[i]+" ends within a page")
		}
	}
	f := Finding{Result: Pass, Bytes: blocks * page.Size, Objects: blocks,
		Detail: fmt.Sprintf("%s in %s, each with the checksum that it must have", plural(blocks, "page"), plural(int64(len(files)), "file"))}
	if len(broken) > 0 {
		f.Result, f.Detail = Fail, "wrong checksums: "+some(broken)
	}
	return f
}

// pagesAtOnce is how many pages one read takes.
const pagesAtOnce = 64

func (p *pages) check(ctx context.Context, place string) (state, error) {
	relation, _ := relfile.ParseRelation(filepath.ToSlash(place))
	file, err := os.Open(filepath.Join(p.directory, place))
	if err != nil {
		return state{}, err
	}
	defer file.Close()
	var s state
	buffer, block := make([]byte, pagesAtOnce*page.Size), page.FirstBlock(relation.Segment, p.segment)
	for ctx.Err() == nil {
		n, err := io.ReadFull(file, buffer)
		for chunk := range slices.Chunk(buffer[:n], page.Size) {
			s.look(chunk, block)
			block++
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return s, nil
		}
		if err != nil {
			return s, err
		}
	}
	return s, context.Cause(ctx)
}

// look checks one page. Of a server that has shut down none is recent: no LSN is at or above the highest one.
func (s *state) look(chunk []byte, block uint32) {
	if len(chunk) < page.Size {
		s.short = true
		return
	}
	s.blocks++
	if page.Verify(chunk, block, wal.LSN(math.MaxUint64)) != page.Damaged {
		return
	}
	if len(s.bad) < maxShown {
		s.bad = append(s.bad, block)
	} else {
		s.more++
	}
}
