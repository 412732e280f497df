package drill

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"syscall"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/restore"
	"lifeboat/restore/server"
)

// recover starts the server and waits until it answers at the stop. The server is not nil where it may be running.
func (d *drill) recover(ctx context.Context, sandbox [][2]string, s *stop) (*server.Server, server.Proof, error) {
	d.Progress(PhaseReplay, 0, 0)
	started := d.Now()
	running, err := server.Start(ctx, server.Options{
		BinDir: d.bin, DataDir: s.plan.Directory, SocketDir: d.scratch.sockets, User: d.plan.Record().Superuser,
		Settings: append(append([][2]string{}, sandbox...), planSettings(s.plan)...),
		LogFile:  d.scratch.path("server.log"), Credential: d.credential(), Env: []string{nonceName + "=" + d.result.ID},
		Session: sessionSettings(d.major()), Pdeathsig: syscall.SIGQUIT, Cage: d.cage(),
	})
	if err != nil {
		return nil, server.Proof{}, err
	}
	proof, err := running.AwaitTarget(ctx)
	if err != nil {
		return running, proof, err
	}
	d.noteReplay(running, started, d.Now())
	return running, proof, proven(s.plan, proof)
}

// ShortError says that recovery ended elsewhere than planned.
type ShortError struct {
	Proof server.Proof
	Why   string
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("the server %s at %s, but %s", e.Proof.Outcome, e.Proof.ReachedLSN, e.Why)
}

// errNoReaders says that the server would not take readers, and so could not pause, either
// (recoveryPausesHere in xlogrecovery.c).
var errNoReaders = errors.New("the target was reached, but the server takes no readers there, and so nothing could be looked at:" +
	" a transaction with more than 64 subtransactions was at work when the backup began and has not ended before the target;" +
	" drill to a later target, or from a later backup")

// headerRoom is how far the end of the last replayed record can lie before the start of the next one: the header of a
// segment's first page and the padding before it (XLogLongPageHeaderData in xlog_internal.h has 40 bytes).
const headerRoom = 64

// proven holds what the server says against the plan: that it stopped for the target's sake, and where.
func proven(plan restore.Plan, proof server.Proof) error {
	target, reached := plan.Target, proof.ReachedLSN
	if err := plan.CheckReached(restore.Reached{StopReason: proof.StopReason, LSN: reached}); err != nil {
		return &ShortError{Proof: proof, Why: err.Error()}
	}
	switch {
	case proof.Outcome == server.Promoted:
		return errNoReaders
	case proof.Outcome != server.Paused:
		return &ShortError{Proof: proof, Why: "it was to pause at its target"}
	case reached+headerRoom < target.StopLSN:
		return &ShortError{Proof: proof, Why: "that is short of " + target.StopLSN.String()}
	case stopsBefore(target) && reached > target.StopLSN:
		return &ShortError{Proof: proof, Why: "that is past " + target.StopLSN.String()}
	case !stopsBefore(target) && reached <= target.StopLSN && target.Setting != "recovery_target":
		return &ShortError{Proof: proof, Why: "the record at " + target.StopLSN.String() + " was to be the last"}
	}
	return nil
}

// stopsBefore says whether the record at the plan's stop is not replayed any more. Recovery to a time always stops
// before the first transaction that is later (recoveryStopsBefore in xlogrecovery.c).
func stopsBefore(target restore.PlannedTarget) bool {
	return target.Exclusive || target.Setting == "recovery_target_time"
}

var redoLine = regexp.MustCompile(`(?m)^(\S+ \S+) UTC \[\d+\] LOG:  redo starts at ([0-9A-F]+/[0-9A-F]+)`)

// noteReplay divides the time of a recovery at the moment when the server's log says that redo started.
func (d *drill) noteReplay(running *server.Server, from, to time.Time) {
	r := replay{spent: to.Sub(from)}
	log, err := running.Log()
	if err != nil {
		d.Log.Warn("the scratch server's log cannot be read", keyError, err)
	}
	if m := redoLine.FindStringSubmatch(log); m != nil {
		if at, err := time.Parse("2006-01-02 15:04:05.000", m[1]); err == nil {
			r.start = min(max(0, at.Sub(from)), r.spent)
		}
		if lsn, err := wal.ParseLSN(m[2]); err == nil {
			r.redo = lsn
		}
	}
	d.clock.addReplay(r)
}
