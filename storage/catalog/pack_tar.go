package catalog

import (
	"archive/tar"
	"fmt"
	"time"
)

// tarGlue makes the tar stream that lies around the bytes of files: headers, padding, and the end. They gather until
// they are taken; the bytes of files pass by. It is not safe for concurrent use.
type tarGlue struct {
	tar     *tar.Writer
	pending []byte
	passing bool // bytes of a file are written, which are stored elsewhere
}

func newTarGlue() *tarGlue {
	g := &tarGlue{}
	g.tar = tar.NewWriter(g)
	return g
}

// Write is what tar.Writer writes to.
func (g *tarGlue) Write(p []byte) (int, error) {
	if !g.passing {
		g.pending = append(g.pending, p...)
	}
	return len(p), nil
}

// header ends the file before and begins an entry.
func (g *tarGlue) header(meta FileMeta, kind byte) error {
	h := tar.Header{
		Typeflag: kind,
		Name:     meta.Path,
		Mode:     int64(meta.Mode.Perm()),
		Size:     meta.Size,
		ModTime:  meta.ModTime.Truncate(time.Second),
	}
	if kind == tar.TypeDir {
		h.Name += "/"
	}
	if err := g.tar.WriteHeader(&h); err != nil {
		return fmt.Errorf("tar header: %w", err)
	}
	return nil
}

// pass tells the tar stream that these bytes of the file are in it.
func (g *tarGlue) pass(content []byte) error {
	g.passing = true
	defer func() { g.passing = false }()
	_, err := g.tar.Write(content)
	return err
}

// take returns what has gathered, valid until the next call of any other method.
func (g *tarGlue) take() []byte {
	taken := g.pending
	g.pending = g.pending[:0]
	return taken
}

// end writes the padding of the last file and the end of the archive.
func (g *tarGlue) end() error { return g.tar.Close() }
