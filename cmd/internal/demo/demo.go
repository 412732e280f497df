// Package demo tells Lifeboat's whole story on a throwaway primary: archive, back up, destroy a table, recover to just
// before, and drill. It types the same commands that an operator would, through the same binaries and hooks.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lifeboat/cmd/internal/term"
)

// Options say where the story is told and with what.
type Options struct {
	Lifeboat    string // the lifeboat binary; its hook lies beside it
	PostgresBin string // a directory of server programs; empty: the newest that is found
	Repository  string // file, s3 or gcs
	Plain       bool   // neither encrypt nor sign
	Report      string // where the HTML report is left; nothing else stays
	Keep        bool   // leave the scene as it stands, and say how to look at it
	Out         *term.Printer
	Now         func() time.Time
}

// patience is how long a machine that is busy with something else may take for a step that is short by itself: a start, a stop,
// the archiving of what the load has left.
const patience = 3 * time.Minute

// loadScale is pgbench's: 15 MB of tables for each unit.
const loadScale = 15

// story is one telling: the scene and what happened in it so far.
type story struct {
	Options
	scene   *scene
	primary *primary
	load    *load
	ledger  *ledger
	started time.Time

	keys     *keys // nil in plain
	backup   backupResult
	census   censusResult
	accident time.Time
	restored string // the data directory of the recovered server
	drill    drillResult
}

// Run tells the story. However it ends, and unless Keep is set, nothing is left running or lying about but the report.
func Run(ctx context.Context, o Options) (err error) {
	s := &story{Options: o, started: o.Now()}
	s.scene, err = newScene(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if s.Keep && err == nil {
			s.stopLoad()
			s.tellKept()
			return
		}
		err = errors.Join(err, s.close(ctx))
	}()
	if err := s.configure(); err != nil {
		return err
	}
	for number, chapter := range s.chapters() {
		s.heading(number+1, chapter.title)
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("chapter %d, %q: %w", number+1, chapter.title, err)
		}
	}
	s.tellEnd()
	if s.drill.Verdict != "pass" && s.drill.Verdict != "warn" {
		return &VerdictError{Verdict: s.drill.Verdict}
	}
	return nil
}

// VerdictError says that the story was told to its end, but that its drill did not pass.
type VerdictError struct{ Verdict string }

func (e *VerdictError) Error() string { return "the demo's drill ended with the verdict " + e.Verdict }

type chapter struct {
	title string
	tell  func(context.Context) error
}

func (s *story) chapters() []chapter {
	chapters := []chapter{
		{"A place for the backups, and keys of their own", s.tellKeys},
		{"A primary under load, its WAL archived by the real hook", s.tellPrimary},
		{"A base backup, while the load runs", s.tellBackup},
		{"A census: every table counted at one exact point of the WAL", s.tellCensus},
		{"The accident", s.tellAccident},
		{"Back to the moment before", s.tellRestore},
		{"A drill: restore, recover to the census, compare every row", s.tellDrill},
	}
	if s.Plain && s.scene.store == nil {
		return chapters[1:] // there is nothing to tell
	}
	return chapters
}

// close stops all that runs and removes the scene, also when ctx has ended.
func (s *story) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var problems []error
	s.stopLoad()
	if s.restored != "" {
		problems = append(problems, s.scene.stopServer(ctx, s.restored))
	}
	if s.primary != nil {
		problems = append(problems, s.primary.stop(ctx))
	}
	return errors.Join(append(problems, s.scene.store.stop(), s.scene.remove())...)
}

func (s *story) stopLoad() {
	if s.ledger != nil {
		s.ledger.stop()
	}
	if s.load != nil {
		s.load.stop()
	}
}

// saveReport leaves the drill's report where the teller of the story can open it.
func (s *story) saveReport(ctx context.Context) error {
	page, err := s.scene.lifeboat(ctx, append([]string{"drill", "report", s.drill.ID, "--format", "html"}, s.keys.identity()...)...)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(s.Report)
	if err != nil {
		return fmt.Errorf("save the report: %w", err)
	}
	s.Report = path
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return fmt.Errorf("save the report: %w", err)
	}
	return nil
}
