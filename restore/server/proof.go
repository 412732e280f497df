package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/control"
	"lifeboat/internal/wal"
)

// Outcome is what the server did when recovery had ended.
type Outcome string

// The outcomes, which follow recovery_target_action.
const (
	Paused   Outcome = "paused"    // takes readers where hot standby is on, and waits
	Promoted Outcome = "promoted"  // takes writes on a new timeline
	ShutDown Outcome = "shut down" // has ended
)

// Proof is what shows where a recovery ended.
type Proof struct {
	Outcome     Outcome        `json:"outcome"`
	StopReason  string         `json:"stop_reason"`  // the server's own words; empty when recovery ran to the end of WAL
	ReachedLSN  wal.LSN        `json:"reached_lsn"`  // the end of what was replayed; 0 when it could not be learned
	ReachedTime time.Time      `json:"reached_time"` // of the last replayed commit or abort; zero when there was none or it could not be learned
	NewTimeline wal.TimelineID `json:"new_timeline"` // 0 unless promoted
}

// proofPaused asks the server, for the log does not tell the position.
func (s *Server) proofPaused(ctx context.Context, r recovery) (Proof, error) {
	proof := Proof{Outcome: Paused, StopReason: r.stop}
	if s.options.User == "" {
		return proof, nil
	}
	conn, err := s.connectWhenReady(ctx)
	if err != nil {
		return Proof{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var lsn string
	var at *time.Time
	err = conn.QueryRow(ctx, "SELECT pg_last_wal_replay_lsn()::text, pg_last_xact_replay_timestamp()").Scan(&lsn, &at)
	if err != nil {
		return Proof{}, fmt.Errorf("ask the paused server for its position: %w", err)
	}
	if at != nil {
		proof.ReachedTime = at.UTC()
	}
	proof.ReachedLSN, err = wal.ParseLSN(lsn)
	return proof, err
}

// proofPromoted reads the new timeline's history file, which says where it branched off.
func (s *Server) proofPromoted(r recovery) (Proof, error) {
	proof := Proof{Outcome: Promoted, StopReason: r.stop, ReachedTime: r.lastXact, NewTimeline: r.timeline}
	text, err := os.ReadFile(filepath.Join(s.options.DataDir, "pg_wal", wal.HistoryFile(r.timeline).String()))
	if err != nil {
		return Proof{}, fmt.Errorf("read where the new timeline begins: %w", err)
	}
	history, err := wal.ParseHistory(r.timeline, text)
	if err != nil {
		return Proof{}, fmt.Errorf("read where the new timeline begins: %w", err)
	}
	if n := len(history.Entries); n > 0 {
		proof.ReachedLSN = history.Entries[n-1].SwitchLSN
	}
	return proof, nil
}

// proofShutDown reads pg_control: a shutdown in recovery records how far it had come.
func (s *Server) proofShutDown(r recovery) (Proof, error) {
	raw, err := os.ReadFile(filepath.Join(s.options.DataDir, "global", "pg_control"))
	if err != nil {
		return Proof{}, fmt.Errorf("read how far recovery came: %w", err)
	}
	data, err := control.Parse(raw)
	if err != nil {
		return Proof{}, fmt.Errorf("read how far recovery came: %w", err)
	}
	return Proof{Outcome: ShutDown, StopReason: r.stop, ReachedLSN: data.MinRecoveryPoint}, nil
}
