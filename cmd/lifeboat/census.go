package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/archive"
	"lifeboat/cmd/internal/term"
	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
	"lifeboat/verify/census"
)

// censusWait bounds how long a census waits until the WAL that it belongs to is in the repository.
const censusWait = 2 * time.Minute

// censusSummary is what 'census' writes in JSON.
type censusSummary struct {
	ID         string            `json:"id"`
	Cluster    string            `json:"cluster"`
	Comparison census.Comparison `json:"comparison"` // exact where every database is
	LSN        wal.LSN           `json:"lsn"`        // the last of its stops, as an exclusive recovery target
	Stops      []wal.LSN         `json:"stops"`
	Databases  int               `json:"databases"`
	Tables     int               `json:"tables"`
	Rows       int64             `json:"rows"`
	Reachable  bool              `json:"reachable"` // its WAL is in the repository
	Inexact    []string          `json:"inexact"`   // what can be compared tolerantly only, or not at all, and why
}

func (a *app) censusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "census",
		Short: "Count and fingerprint production's tables at one point of its WAL, and store the result",
		Long: "Counts every table under a snapshot, without locks, and finds the position in the WAL that the snapshot\n" +
			"belongs to. Drills recover to that position and compare. Needs to read the server's pg_wal: run it on the\n" +
			"server's host as the user that owns the data directory.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.census(c.Context()) },
	}
}

func (a *app) census(ctx context.Context) error {
	s, err := a.openKnown(ctx, producing())
	if err != nil {
		return err
	}
	taken, err := a.takeCensus(ctx, s)
	if err != nil {
		return err
	}
	body, err := json.Marshal(taken)
	if err != nil {
		return fmt.Errorf("store the census: %w", err)
	}
	if err := s.cluster.PutCensus(ctx, taken.ID, body); err != nil {
		return fmt.Errorf("store the census: %w", err)
	}
	summary := summariseCensus(s.name, taken)
	if summary.Reachable, err = a.awaitCensus(ctx, s, taken); err != nil {
		return err
	}
	if a.json() {
		return a.writeJSON(summary)
	}
	a.tellCensus(summary)
	return nil
}

func (a *app) takeCensus(ctx context.Context, s *scene) (*census.Census, error) {
	directory, err := dataDirectory(ctx, s.config)
	if err != nil {
		return nil, err
	}
	bar := a.bar()
	defer bar.Done()
	bar.Show("counting", 0, 0)
	taken, err := census.Take(ctx, census.Options{
		Connect: connector(s.config), Identity: s.cluster.Identity(), ID: catalog.NewID(a.now()),
		WALDirectory: directory + "/pg_wal", Logger: a.log, Clock: a.now,
		SampleBudget: int64(s.config.Census.FingerprintUpTo), CountBudget: int64(s.config.Census.CountUpTo),
	})
	if err != nil {
		return nil, &archive.OperatorError{Message: "no census was taken", Err: err,
			Hint: "'lifeboat check' names missing privileges; the role needs SELECT on what is to be counted, such as GRANT pg_read_all_data"}
	}
	return taken, nil
}

// awaitCensus asks the server to finish the segment that the census lies in, and waits until it is archived.
func (a *app) awaitCensus(ctx context.Context, s *scene, taken *census.Census) (bool, error) {
	conn, err := connector(s.config)(ctx, "")
	if err != nil {
		return false, fmt.Errorf("finish the census's WAL segment: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "SELECT pg_switch_wal()"); err != nil {
		return false, fmt.Errorf("finish the census's WAL segment: %w", err)
	}
	size := s.cluster.Identity().WALSegmentSize
	segment, err := wal.ParseFileName(wal.SegmentName(taken.Timeline, wal.SegmentOf(taken.RestorePoint.LSN, size), size))
	if err != nil {
		return false, fmt.Errorf("name the census's WAL segment: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, censusWait)
	defer cancel()
	bar := a.bar()
	defer bar.Done()
	for {
		if _, err := s.cluster.WALHeader(ctx, segment); err == nil {
			return true, nil
		}
		bar.Show("waiting for "+segment.String()+" to be archived", 0, 0)
		select {
		case <-ctx.Done():
			a.log.Warn("the census is stored, but its WAL is not archived yet", "segment", segment.String())
			return false, nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func summariseCensus(cluster string, c *census.Census) censusSummary {
	s := censusSummary{ID: c.ID, Cluster: cluster, Comparison: census.Exact, Databases: len(c.Databases), Stops: c.Stops(), Inexact: []string{}}
	if len(s.Stops) > 0 {
		s.LSN = s.Stops[len(s.Stops)-1]
	}
	for _, d := range c.Databases {
		if d.Cut == nil {
			s.Comparison = census.Tolerant
			s.Inexact = append(s.Inexact, fmt.Sprintf("database %s: %s", d.Name, d.Why))
		}
		s.Tables += len(d.Tables)
		for _, t := range d.Tables {
			s.Rows += t.Rows
			if t.Comparable != census.Exact {
				s.Inexact = append(s.Inexact, fmt.Sprintf("%s.%s.%s: %s", d.Name, t.Schema, t.Name, t.Why))
			}
		}
	}
	return s
}

func (a *app) tellCensus(s censusSummary) {
	a.out.Printf("census %s\n", s.ID)
	a.out.Printf("  %s rows in %d tables of %d databases, %s at %s\n", term.Count(s.Rows), s.Tables, s.Databases, s.Comparison, s.LSN)
	for _, line := range s.Inexact {
		a.out.Printf("  %s %s\n", a.out.Paint(term.Doubt, "not exact:"), line)
	}
	if !s.Reachable {
		a.out.Printf("  %s its WAL is not in the repository yet; see 'lifeboat check'\n", a.out.Paint(term.Doubt, "not reachable:"))
	}
}
