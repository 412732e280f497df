package instance

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"lifeboat/verify/census"
)

// olderCensus is the finding where a census was taken before it held such things.
func olderCensus() Finding { return found(NotRun, "the census does not hold it: take a new one") }

// missed is what a difference means: a failure where the comparison is exact, and no more than a doubt elsewhere.
func missed(comparison census.Comparison, differences []string) Finding {
	if comparison == census.Exact {
		return found(Fail, "%s", some(differences))
	}
	return found(Unproven, "%s; the comparison is not exact, so that may be right", some(differences))
}

// Extensions compares a database's extensions with those that the census saw, at its stop. Whether this host has the
// files of each is told, and no failure of the backup.
func Extensions(ctx context.Context, connect Connect, d census.Database, comparison census.Comparison) Finding {
	if d.Details == nil {
		return olderCensus()
	}
	s, err := open(ctx, connect, d.Name)
	if err != nil {
		return refused("list the extensions", err)
	}
	defer s.close()
	rows, err := s.Query(ctx, `
SELECT e.extname::text, e.extversion, v.name IS NOT NULL FROM pg_extension e
LEFT JOIN pg_available_extension_versions v ON v.name = e.extname AND v.version = e.extversion ORDER BY 1`, pgx.QueryExecModeExec)
	if err != nil {
		return refused("list the extensions", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[restoredExtension])
	if err != nil {
		return refused("list the extensions", err)
	}
	return compareExtensions(d.Details.Extensions, list, comparison)
}

type restoredExtension struct {
	Name, Version string
	Here          bool // this host has its files
}

func compareExtensions(expected []census.Extension, restored []restoredExtension, comparison census.Comparison) Finding {
	versions := map[string]string{}
	var differ, absent []string
	for _, e := range restored {
		versions[e.Name] = e.Version
		if !e.Here {
			absent = append(absent, e.Name+" "+e.Version)
		}
	}
	for _, e := range expected {
		switch version, ok := versions[e.Name]; {
		case !ok:
			differ = append(differ, fmt.Sprintf("extension %s %s is missing", e.Name, e.Version))
		case version != e.Version:
			differ = append(differ, fmt.Sprintf("extension %s has version %s, not %s", e.Name, version, e.Version))
		}
	}
	f := found(Pass, "%s as in the census", plural(int64(len(expected)), "extension"))
	if len(differ) > 0 {
		f = missed(comparison, differ)
	}
	if len(absent) > 0 {
		f.Detail += "; this host does not have the files of " + some(absent)
	}
	f.Objects = int64(len(restored))
	return f
}

// Sequences compares a database's sequences with what they had given before the census, at its stop: none may be behind.
func Sequences(ctx context.Context, connect Connect, d census.Database, comparison census.Comparison) Finding {
	switch {
	case d.Details == nil:
		return olderCensus()
	case d.Details.Why != "":
		return found(Unproven, "the census could not read the sequences: %s", d.Details.Why)
	}
	s, err := open(ctx, connect, d.Name)
	if err != nil {
		return refused("read the sequences", err)
	}
	defer s.close()
	rows, err := s.Query(ctx, `
SELECT s.seqrelid, pg_sequence_last_value(s.seqrelid) FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relpersistence = 'p'`, pgx.QueryExecModeExec)
	if err != nil {
		return refused("read the sequences", err)
	}
	restored := map[uint32]*int64{}
	var oid uint32
	var last *int64
	if _, err := pgx.ForEachRow(rows, []any{&oid, &last}, func() error {
		restored[oid] = last
		return nil
	}); err != nil {
		return refused("read the sequences", err)
	}
	return compareSequences(d.Details.Sequences, restored, comparison)
}

func compareSequences(expected []census.Sequence, restored map[uint32]*int64, comparison census.Comparison) Finding {
	var differ []string
	unasked := 0
	for _, s := range expected {
		name := pgx.Identifier{s.Schema, s.Name}.Sanitize()
		last, ok := restored[s.OID]
		switch {
		case !ok:
			differ = append(differ, "sequence "+name+" is missing")
		case s.Last == nil:
			unasked++
		case last == nil:
			differ = append(differ, fmt.Sprintf("sequence %s has given nothing, and had given %d", name, *s.Last))
		case s.Behind(*last, *s.Last):
			differ = append(differ, fmt.Sprintf("sequence %s stands at %d, behind %d", name, *last, *s.Last))
		}
	}
	f := found(Pass, "%s, none behind what it had given", plural(int64(len(expected)), "sequence"))
	if unasked > 0 {
		f.Detail += fmt.Sprintf("; %d of them had given nothing, or begin anew", unasked)
	}
	if len(differ) > 0 {
		f = missed(comparison, differ)
	}
	f.Objects = int64(len(expected))
	return f
}
