package catalog

import (
	"context"
	"io"
	"maps"
	"slices"
)

// checkDumps checks what the drills have dumped.
func (s *clusterScrub) checkDumps() {
	for _, id := range slices.Sorted(maps.Keys(s.dumps)) {
		names, key := s.dumps[id], s.cluster.dumpKey(id, dumpFile)
		if !slices.Contains(names, dumpFile) {
			s.unfinishedDump(id, names)
			continue
		}
		if slices.Contains(names, dumpFile+signatureSuffix) {
			s.checkSignature(key)
		}
		s.check(key, damageDump, func(ctx context.Context) error { return s.checkDump(ctx, id, names) })
	}
}

// checkDump checks the document of a dump and all pieces that it stands for.
func (s *clusterScrub) checkDump(ctx context.Context, id string, names []string) error {
	c := s.cluster
	document, err := c.dump(ctx, id)
	if err != nil && !isLocked(err) {
		return err
	}
	known := map[string]bool{c.dumpKey(id, dumpFile): true, c.dumpKey(id, dumpFile+signatureSuffix): true}
	for _, piece := range c.dumpPieces(id, document) {
		known[piece.key] = true
		err := s.checkNow(piece.key, damageDump, func(ctx context.Context) error { return c.checkPiece(ctx, piece, document.sealed) })
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		if key := c.dumpKey(id, name); !known[key] {
			s.unknown(key)
		}
	}
	return err
}

// checkPiece reads every byte of a piece, and opens it where it is sealed.
func (c *Cluster) checkPiece(ctx context.Context, piece storedObject, sealed bool) error {
	in, err := c.openWhole(ctx, piece.key, piece.Size, sealed, piece.SHA256)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.Copy(io.Discard, in.in); err != nil {
		return in.explain(err)
	}
	return in.finish(piece.SHA256)
}

// unfinishedDump notes a dump without a document, whose objects are not read.
func (s *clusterScrub) unfinishedDump(id string, names []string) {
	var keys []string
	for _, name := range names {
		keys = append(keys, s.cluster.dumpKey(id, name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.UnfinishedDumps = append(s.report.UnfinishedDumps, s.cluster.name+"/"+id)
	s.skip(keys)
}
