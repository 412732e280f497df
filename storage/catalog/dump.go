package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// DumpPart is one of the streams of bytes that a dump consists of.
type DumpPart string

// The parts of a dump.
const (
	DumpArchive DumpPart = "archive" // of the database, in pg_dump's custom format
	DumpGlobals DumpPart = "globals" // what the database needs of the cluster, such as roles, as SQL
)

// dumpFile is the last object of a dump.
const dumpFile = "dump.json"

// dumpBody is the body of the document about a dump. It stands for the pieces of its parts.
type dumpBody struct {
	named
	Parts  map[DumpPart][]fileSum `json:"parts"` // the pieces, in order, as they are stored
	sealed bool                   // as stored
}

// DumpID is the id of a drill's dump of the given number, from 1.
func DumpID(drill string, number int) string { return fmt.Sprintf("%s-%04d", drill, number) }

// DrillOfDump is the id of the drill that made the dump, or empty where the id is not what DumpID makes.
func DrillOfDump(id string) string {
	at := strings.LastIndexByte(id, '-')
	if at <= 0 || len(id) < at+5 || strings.Trim(id[at+1:], "0123456789") != "" {
		return ""
	}
	return id[:at]
}

// Dump reads the body of the document about a dump. storage.ErrNotFound where there is none of the id, *DamagedError,
// *VersionError, *UnsignedError, seal.ErrNoIdentity, *seal.WrongIdentityError.
func (c *Cluster) Dump(ctx context.Context, id string) (json.RawMessage, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (json.RawMessage, error) { return c.Dump(ctx, id) })
	}
	document, err := c.dump(ctx, id)
	return document.Body, err
}

// DumpIDs lists the dumps that are whole, oldest first.
func (c *Cluster) DumpIDs(ctx context.Context) ([]string, error) {
	if c.copies != nil {
		return c.copies.unionOfIDs(ctx, func(ctx context.Context, c *Cluster) ([]string, error) { return c.DumpIDs(ctx) })
	}
	var ids []string
	for info, err := range c.bucket.List(ctx, c.dumpPrefix()) {
		if err != nil {
			return nil, fmt.Errorf("list dumps: %w", err)
		}
		id, file, _ := strings.Cut(strings.TrimPrefix(info.Key, c.dumpPrefix()), "/")
		if file == dumpFile && ValidID(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// dump reads the document about a dump.
func (c *Cluster) dump(ctx context.Context, id string) (dumpBody, error) {
	if err := checkID("dump", id); err != nil {
		return dumpBody{}, err
	}
	key := c.dumpKey(id, dumpFile)
	raw, err := c.getSigned(ctx, key, kindDump)
	if err != nil {
		return dumpBody{}, err
	}
	return c.decodeDump(key, id, raw)
}

// decodeDump proves that raw is the document about the dump, and opens it. Where it cannot be opened, the parts are
// returned beside the error.
func (c *Cluster) decodeDump(key, id string, raw []byte) (dumpBody, error) {
	var document dumpBody
	if err := decodeDocument(key, kindDump, raw, &document); err != nil {
		return dumpBody{}, err
	}
	for part := range document.Parts {
		if part != DumpArchive && part != DumpGlobals {
			return dumpBody{}, damaged(key, "has a part %q, which is none of a dump", part)
		}
	}
	document.sealed = document.Sealed != nil
	opened, err := c.openNamed(key, id, document.named)
	document.named = opened
	return document, err
}

// pieces are the objects that the document of a dump stands for.
func (c *Cluster) dumpPieces(id string, document dumpBody) []storedObject {
	var objects []storedObject
	for _, part := range slices.Sorted(maps.Keys(document.Parts)) {
		for i, sum := range document.Parts[part] {
			objects = append(objects, storedObject{key: c.pieceKey(id, part, i), fileSum: sum})
		}
	}
	return objects
}
