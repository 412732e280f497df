package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"lifeboat/cmd/internal/term"
)

// backupResult, censusResult, restoreResult and drillResult are what the story reads of the commands' JSON.
type backupResult struct {
	Label        string `json:"label"`
	ClusterBytes int64  `json:"cluster_bytes"`
	StoredBytes  int64  `json:"stored_bytes"`
}

type censusResult struct {
	ID         string `json:"id"`
	Comparison string `json:"comparison"`
	LSN        string `json:"lsn"`
	Tables     int    `json:"tables"`
	Rows       int64  `json:"rows"`
}

type restoreResult struct {
	Reached struct {
		StopReason string `json:"stop_reason"`
		LSN        string `json:"reached_lsn"`
	} `json:"reached"`
}

type drillResult struct {
	ID      string  `json:"id"`
	Verdict string  `json:"verdict"`
	RTO     float64 `json:"rto_seconds"`
	Rows    struct {
		Comparison string `json:"comparison"`
		Tables     []struct {
			Expected int64  `json:"expected"`
			Actual   int64  `json:"actual"`
			Result   string `json:"result"`
		} `json:"tables"`
	} `json:"rows"`
	Checks []struct {
		Name   string `json:"name"`
		Result string `json:"result"`
		Detail string `json:"detail"`
	} `json:"checks"`
	Targets []struct {
		Name   string  `json:"name"`
		Target string  `json:"target"`
		Actual string  `json:"actual"`
		Used   float64 `json:"used_percent"`
		Result string  `json:"result"`
	} `json:"targets"`
}

func (s *story) tellPrimary(ctx context.Context) error {
	var err error
	if s.primary, err = startPrimary(ctx, s.scene); err != nil {
		return err
	}
	if _, err := s.typed(ctx, "init"); err != nil {
		return err
	}
	if s.load, err = startLoad(ctx, s.scene); err != nil {
		return err
	}
	if s.ledger, err = startLedger(ctx, s.primary); err != nil {
		return err
	}
	s.done("PostgreSQL %d runs as %s; pgbench makes %d transactions a second, a ledger grows beside it", s.scene.major, s.scene.userName, loadRate)
	s.done("archive_command = 'lifeboat-wal push %%p'")
	return nil
}

func (s *story) tellBackup(ctx context.Context) error {
	started := s.Now()
	if err := s.typeJSON(ctx, &s.backup, "backup"); err != nil {
		return err
	}
	s.done("%s copied and compressed to %s in %s, every WAL segment it needs verified", term.Bytes(s.backup.ClusterBytes), term.Bytes(s.backup.StoredBytes), term.Duration(s.Now().Sub(started)))
	return nil
}

func (s *story) tellCensus(ctx context.Context) error {
	if err := s.typeJSON(ctx, &s.census, "census"); err != nil {
		return err
	}
	s.done("%s rows in %d tables counted under load: %s at %s", term.Count(s.census.Rows), s.census.Tables, s.census.Comparison, s.census.LSN)
	return nil
}

func (s *story) tellAccident(ctx context.Context) error {
	conn, err := s.primary.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = s.ledger.between(func() error { return conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&s.accident) })
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "DROP TABLE ledger"); err != nil {
		return err
	}
	if err := s.ledger.awaitEnd(); err != nil {
		return err
	}
	s.Out.Printf("     %s  %s\n", s.Out.Paint(term.Dim, s.accident.UTC().Format("15:04:05.000000")), s.Out.Paint(term.Bad, "DROP TABLE ledger;"))
	s.Out.Printf("     %s committed rows are gone from production\n", term.Count(int64(len(s.ledger.written()))))
	var end string
	if err := conn.QueryRow(ctx, "SELECT pg_walfile_name(pg_switch_wal())").Scan(&end); err != nil {
		return err
	}
	return s.awaitArchived(ctx, end)
}

// awaitArchived waits until the archiver has handed over a segment, as an operator would look at pg_stat_archiver.
func (s *story) awaitArchived(ctx context.Context, segment string) error {
	conn, err := s.primary.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the archiver does not archive "+segment))
	defer cancel()
	for {
		var archived bool
		if err := conn.QueryRow(ctx, "SELECT coalesce(left(last_archived_wal, 24) >= $1, false) FROM pg_stat_archiver", segment).Scan(&archived); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if archived {
			s.done("the WAL up to and past that moment is in the repository")
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *story) tellRestore(ctx context.Context) error {
	s.restored = s.scene.path("recovered")
	moment := s.accident.UTC().Format("2006-01-02 15:04:05.000000+00")
	started := s.Now()
	var result restoreResult
	if err := s.tellSealed(ctx); err != nil {
		return err
	}
	args := []string{"restore", "--target-dir", s.restored, "--to-time", moment, "--archive-mode", "off", "--port", strconv.Itoa(restoredPort), "--start"}
	err := s.typeJSON(ctx, &result, append(args, s.keys.identity()...)...)
	if err != nil {
		return err
	}
	s.done("a second server runs in %s: %s", term.Duration(s.Now().Sub(started)), result.Reached.StopReason)
	return s.prove(ctx)
}

func (s *story) tellDrill(ctx context.Context) error {
	err := s.typeJSON(ctx, &s.drill, append([]string{"drill", "run", "--to-lsn", s.census.LSN, "--exclusive"}, s.keys.identity()...)...)
	if s.drill.ID == "" {
		return err
	}
	s.tellVerdict()
	return s.saveReport(ctx)
}

// typed shows a command and runs it.
func (s *story) typed(ctx context.Context, args ...string) ([]byte, error) {
	s.command(args)
	return s.scene.lifeboat(ctx, args...)
}

// typeJSON shows a command as an operator would type it, and reads its result as JSON, also when it ended with a
// verdict.
func (s *story) typeJSON(ctx context.Context, result any, args ...string) error {
	s.command(args)
	bar := s.Out.Bar(s.Now)
	waiting, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		for waiting.Err() == nil {
			bar.Show("running", 0, 0)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	out, err := s.scene.lifeboat(ctx, append(args, "--output", "json")...)
	stop()
	<-shown
	bar.Done()
	if len(out) == 0 {
		return err
	}
	if jsonErr := json.Unmarshal(out, result); jsonErr != nil {
		return errors.Join(err, fmt.Errorf("read the result of lifeboat %s: %w", args[0], jsonErr))
	}
	return err
}
