package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/term"
	"lifeboat/drill"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
)

func (a *app) dumpCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "dump",
		Short: "List and fetch the logical dumps that drills have made",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.dumpListCommand(), a.dumpGetCommand())
	a.identityFlag(c.PersistentFlags())
	a.repositoryFlag(c.PersistentFlags())
	for _, sub := range c.Commands() {
		sub.Args = usageArgs(sub.Args)
	}
	return c
}

func (a *app) dumpListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the logical dumps in the repository",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.dumpList(c.Context()) },
	}
}

// listedDump is a dump as 'dump list' tells of it.
type listedDump struct {
	ID string `json:"id"`
	drill.Dump
}

func (a *app) dumpList(ctx context.Context) error {
	s, err := a.openKnown(ctx, asking())
	if err != nil {
		return err
	}
	dumps, problems, err := drill.ListDumps(ctx, s.cluster)
	if err != nil {
		return err
	}
	if a.json() {
		list := make([]listedDump, 0, len(dumps))
		for _, u := range dumps {
			list = append(list, listedDump{ID: u.ID, Dump: *u})
		}
		err = a.writeJSON(list)
	} else {
		a.tellDumps(dumps)
	}
	for _, p := range problems {
		a.errors.Printf("lifeboat: %v\n", p)
	}
	if err == nil && len(problems) > 0 {
		return &codeError{code: exitFail}
	}
	return err
}

func (a *app) tellDumps(dumps []*drill.Dump) {
	if len(dumps) == 0 {
		a.out.Printf("no dumps yet: name databases under 'dump:' of a drill in the configuration\n")
		return
	}
	rows := make([][]string, 0, len(dumps))
	for _, u := range dumps {
		rows = append(rows, []string{u.Drill, fmt.Sprintf("%q", u.Database), stamp(u.TargetTime), u.PostgreSQL,
			term.Bytes(u.Archive.Size), fmt.Sprint(len(u.Tables)), fmt.Sprint(u.Rows())})
	}
	a.out.Table([]term.Column{
		{Title: "drill"}, {Title: "database"}, {Title: "as of"}, {Title: "version"}, {Title: "size", Right: true},
		{Title: "tables", Right: true}, {Title: "rows", Right: true},
	}, rows)
}

func (a *app) dumpGetCommand() *cobra.Command {
	var out string
	var globals bool
	c := &cobra.Command{
		Use:   "get DRILL-ID DATABASE",
		Short: "Fetch a logical dump, for pg_restore",
		Long: "Writes pg_dump's archive of the database to FILE, or to standard output. What was written is whole only where the exit\n" +
			"code is 0. A FILE that exists is left alone.",
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			part := catalog.DumpArchive
			if globals {
				part = catalog.DumpGlobals
			}
			return a.dumpGet(c.Context(), args[0], args[1], part, out)
		},
	}
	c.Flags().StringVar(&out, "out", "-", "write to `FILE`; - is standard output")
	c.Flags().BoolVar(&globals, "globals", false, "fetch the roles that the database needs, as SQL for psql, in place of the archive")
	return c
}

func (a *app) dumpGet(ctx context.Context, drillID, database string, part catalog.DumpPart, out string) error {
	s, err := a.openKnown(ctx, asking())
	if err != nil {
		return err
	}
	u, err := findDump(ctx, s.cluster, drillID, database)
	if err != nil {
		return err
	}
	in, err := u.Open(ctx, s.cluster, part)
	if err != nil {
		return err
	}
	if out == "-" {
		_, err = io.Copy(a.stdout, in)
	} else {
		err = writeDump(out, in)
	}
	if err := errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("fetch the dump of %q: %w", database, err)
	}
	return nil
}

// findDump looks for the dump of a database among those of a drill. Those of the drill that cannot be read are told where
// it is not among the others.
func findDump(ctx context.Context, c *catalog.Cluster, drillID, database string) (*drill.Dump, error) {
	ids, err := c.DumpIDs(ctx)
	if err != nil {
		return nil, err
	}
	missing := fmt.Errorf("drill %s has no dump of database %q: see 'lifeboat dump list': %w", drillID, database, storage.ErrNotFound)
	for _, id := range ids {
		if catalog.DrillOfDump(id) != drillID {
			continue
		}
		u, err := drill.LoadDump(ctx, c, id)
		if err == nil && u.Database == database {
			return u, nil
		}
		if err != nil {
			missing = err
		}
	}
	return nil, missing
}

// writeDump writes a private file that must not be there yet, durably. Where it cannot be written whole it is removed.
func writeDump(path string, in io.Reader) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, in)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDirectory(filepath.Dir(path))
}
