package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pollInterval is how often the log is looked at.
const pollInterval = 50 * time.Millisecond

// RecoveryError says that the server ended without reaching the recovery target.
type RecoveryError struct {
	Reason string // the server's own words, or how its process ended
	Log    string // the end of the server's log
}

func (e *RecoveryError) Error() string { return "recovery did not reach its target: " + e.Reason }

// Hint points at what usually is behind the reason.
func (e *RecoveryError) Hint() string {
	switch {
	case strings.Contains(e.Reason, "could not restore file"):
		return "the repository could not be asked for WAL, or what it holds is damaged: the server's log has the hook's own words"
	case strings.Contains(e.Reason, "recovery ended before configured recovery target"):
		return "the WAL ends before the target: see the windows in lifeboat list"
	case strings.Contains(e.Reason, "could not create any TCP/IP sockets"), strings.Contains(e.Reason, "could not create any Unix-domain sockets"):
		return "another server may have the port, or the socket's directory is not there: choose another port with --port"
	case strings.Contains(e.Reason, "resource manager with ID"):
		return "an extension wrote these records: its library must be in shared_preload_libraries to replay them"
	case strings.Contains(e.Reason, "before consistent recovery point"):
		return "the target lies before the end of this backup: use an earlier backup"
	}
	return ""
}

// AwaitTarget waits until recovery has ended as its settings say and proves where. The error is a *RecoveryError when
// the server gave up, or wraps the context's cause.
func (s *Server) AwaitTarget(ctx context.Context) (Proof, error) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		ended := s.ended() // asked before the log is read, so that nothing logged at the end is missed
		proof, over, err := s.look(ctx, ended)
		if over || err != nil {
			return proof, err
		}
		select {
		case <-ctx.Done():
			return Proof{}, fmt.Errorf("wait for the recovery target: %w", context.Cause(ctx))
		case <-ticker.C:
		case <-s.process.done:
		}
	}
}

func (s *Server) ended() bool {
	select {
	case <-s.process.done:
		return true
	default:
		return false
	}
}

// look reads the log once and says whether recovery is over.
func (s *Server) look(ctx context.Context, ended bool) (Proof, bool, error) {
	log, err := s.Log()
	if err != nil {
		return Proof{}, false, err
	}
	r := readRecovery(log)
	var proof Proof
	switch {
	case ended && r.shut:
		proof, err = s.proofShutDown(r)
	case ended:
		return Proof{}, false, s.failure(r, log)
	case r.promoted:
		proof, err = s.proofPromoted(r)
	case r.paused:
		proof, err = s.proofPaused(ctx, r)
	default:
		return Proof{}, false, nil
	}
	return proof, true, err
}

func (s *Server) failure(r recovery, log string) error {
	reason := "the server ended by itself"
	switch {
	case r.fatal != "":
		reason = r.fatal
	case r.ended != "":
		reason = r.ended
	case s.process.err != nil:
		reason = "the server ended: " + s.process.err.Error()
	}
	return &RecoveryError{Reason: reason, Log: tail(log, 30)}
}

// connectWhenReady tries until the server takes readers. A server that has ended or refuses the role ends it.
func (s *Server) connectWhenReady(ctx context.Context) (*pgx.Conn, error) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		conn, err := s.ConnectAny(ctx, nil)
		if err == nil || !startingUp(err) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-s.process.done:
			return nil, err
		case <-ticker.C:
		}
	}
}

// startingUp recognises the answers of a server that will take sessions in a moment: 57P03, cannot_connect_now.
func startingUp(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code == "57P03"
	}
	return errors.Is(err, ErrNotListening)
}
