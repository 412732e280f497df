package instance

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// stale is a collation that orders text otherwise on this host than where its indexes were made, for all that is known:
// the library that it comes from has another version.
type stale struct {
	OID                    uint32
	Name, Recorded, Actual string
}

// listStale looks at the collations that indexes and partitions use. One without a recorded version has none.
const listStale = `
WITH used AS (
  SELECT unnest(indcollation) AS oid FROM pg_index UNION SELECT unnest(partcollation) FROM pg_partitioned_table
), versions AS (
  SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.collname) AS name, c.collversion AS recorded, pg_collation_actual_version(c.oid) AS actual
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
  WHERE c.oid IN (SELECT oid FROM used) AND c.collversion IS NOT NULL %s
)
SELECT oid, name, recorded, coalesce(actual, 'none') FROM versions WHERE recorded IS DISTINCT FROM actual ORDER BY 1`

// defaultCollation adds the database's own collation, whose version a database has since 15. 100 is the OID of the
// collation "default" (pg_collation.dat).
const defaultCollation = `
  UNION ALL
  SELECT 100, 'the default of the database', datcollversion, pg_database_collation_actual_version(oid)
  FROM pg_database WHERE datname = current_database() AND datcollversion IS NOT NULL`

const firstWithDefaultVersion = 150000

func (s *session) staleCollations(ctx context.Context) ([]stale, error) {
	own := ""
	if s.version >= firstWithDefaultVersion {
		own = defaultCollation
	}
	rows, err := s.Query(ctx, fmt.Sprintf(listStale, own), pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[stale])
}

func oidsOf(list []stale) []uint32 {
	oids := []uint32{}
	for _, c := range list {
		oids = append(oids, c.OID)
	}
	return oids
}

// Collations holds the versions of the collations that the indexes of a database were made with against those of this
// host's libraries. Where they differ, an index may be in another order than this host's library has it: that says
// nothing about the backup, but the same awaits whoever restores on such a host.
func Collations(ctx context.Context, connect Connect, database string) Finding {
	s, err := open(ctx, connect, database)
	if err != nil {
		return refused("compare the versions of collations", err)
	}
	defer s.close()
	list, err := s.staleCollations(ctx)
	if err != nil {
		return refused("compare the versions of collations", err)
	}
	used, _, err := s.count(ctx, "SELECT count(DISTINCT c), 0 FROM pg_index, unnest(indcollation) AS c WHERE c <> 0")
	if err != nil {
		return refused("compare the versions of collations", err)
	}
	if len(list) == 0 {
		return Finding{Result: Pass, Detail: plural(used, "collation") + " of indexes, none of another version than this host's", Objects: used}
	}
	f := s.affected(ctx, list)
	f.Objects = used
	return f
}

// affected names the indexes that depend on collations of another version.
func (s *session) affected(ctx context.Context, list []stale) Finding {
	indexes, err := s.strings(ctx, `
SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indcollation::oid[] && $1::oid[] AND i.indexrelid >= 16384 ORDER BY 1`, oidsOf(list))
	if err != nil {
		return refused("list the indexes that depend on a collation", err)
	}
	var names []string
	for _, c := range list {
		names = append(names, fmt.Sprintf("%s has version %s, and %s on this host", c.Name, c.Recorded, c.Actual))
	}
	if len(indexes) == 0 {
		return found(Pass, "%s; no index depends on it", some(names))
	}
	return found(Warn, "%s: where the server runs with such libraries, REINDEX %s", some(names), some(indexes))
}
