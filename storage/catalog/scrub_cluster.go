package catalog

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
)

// clusterScrub checks the objects of one cluster.
type clusterScrub struct {
	*scrubber
	cluster *Cluster
	backups map[string][]string // names below backups/<label>/, by label
	drills  map[string][]string // names below drills/<id>/, by id
	dumps   map[string][]string // names below dumps/<id>/, by id
	tails   storedTails
}

// take checks an object that stands for itself, and puts those aside that belong together.
func (s *clusterScrub) take(key string) {
	c := s.cluster
	if key == clusterKey(c.name) {
		return // checked already
	}
	if document, ok := c.documentOfSignature(key); ok {
		s.checkSignature(document)
		return
	}
	if name, ok := c.parseWALKey(key); ok {
		s.checkWAL(key, name)
		return
	}
	if segment, r, ok := c.parseTailKey(key); ok {
		s.tails[segment] = append(s.tails[segment], r)
		return
	}
	if c.isLeaseKey(key) {
		s.check(key, damageDocument, func(ctx context.Context) error { return c.checkLeaseObject(ctx, key) })
		return
	}
	if label, name, ok := c.splitBackupKey(key); ok {
		s.backups[label] = append(s.backups[label], name)
		return
	}
	if id, ok := idOfDocument(key, c.censusPrefix()); ok {
		s.check(key, damageDocument, func(ctx context.Context) error {
			_, err := c.Census(ctx, id)
			return err
		})
		return
	}
	if _, ok := idOfDocument(key, c.verificationPrefix()); ok {
		s.check(key, damageDocument, func(ctx context.Context) error {
			_, err := c.readVerification(ctx, key)
			return ignoreAbsence(err)
		})
		return
	}
	if _, ok := idOfDocument(key, c.findingPrefix()); ok {
		s.check(key, damageDocument, func(ctx context.Context) error { return c.checkFinding(ctx, key) })
		return
	}
	if id, name, ok := strings.Cut(strings.TrimPrefix(key, c.drillPrefix()), "/"); ok && c.drillKey(id, name) == key && ValidID(id) {
		s.drills[id] = append(s.drills[id], name)
		return
	}
	if id, name, ok := strings.Cut(strings.TrimPrefix(key, c.dumpPrefix()), "/"); ok && c.dumpKey(id, name) == key && ValidID(id) {
		s.dumps[id] = append(s.dumps[id], name)
		return
	}
	s.unknown(key)
}

// idOfDocument is the id in the key of a document right below the prefix.
func idOfDocument(key, prefix string) (string, bool) {
	name, below := strings.CutPrefix(key, prefix)
	id, document := strings.CutSuffix(name, documentSuffix)
	return id, below && document && ValidID(id)
}

func (c *Cluster) checkFinding(ctx context.Context, key string) error {
	_, err := c.readFinding(ctx, key)
	return err
}

// checkDrills checks what the drills have left.
func (s *clusterScrub) checkDrills() {
	for _, id := range slices.Sorted(maps.Keys(s.drills)) {
		names := s.drills[id]
		if !slices.Contains(names, evidenceFile) {
			for _, name := range names {
				s.unknown(s.cluster.drillKey(id, name))
			}
			continue
		}
		if slices.Contains(names, evidenceFile+signatureSuffix) {
			s.checkSignature(s.cluster.drillKey(id, evidenceFile))
		}
		s.check(s.cluster.drillKey(id, evidenceFile), damageEvidence, func(ctx context.Context) error {
			return s.checkDrill(ctx, id, names)
		})
	}
}

// checkDrill checks the document of a drill and all files that it stands for.
func (s *clusterScrub) checkDrill(ctx context.Context, id string, names []string) error {
	document, err := s.cluster.evidence(ctx, id)
	if err != nil && !isLocked(err) {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(document.Files)) {
		key := s.cluster.drillKey(id, name)
		err := s.checkNow(key, damageEvidence, func(ctx context.Context) error {
			return s.cluster.checkEvidenceObject(ctx, key, document)
		})
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		if _, ok := document.Files[name]; !ok && name != evidenceFile && name != evidenceFile+signatureSuffix {
			s.unknown(s.cluster.drillKey(id, name))
		}
	}
	return err
}

// checkEvidenceObject checks what is stored, and that it can be opened.
func (c *Cluster) checkEvidenceObject(ctx context.Context, key string, document evidenceBody) error {
	content, err := c.evidenceFile(ctx, key, document.Files[path.Base(key)])
	if err == nil && document.sealed {
		_, err = c.unseal(key, content)
	}
	return err
}
