package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/drill"
	"lifeboat/storage/catalog"
)

// script is a program that takes the place of a drill. While it is written, nothing is started: a process that shares the file open for
// writing, until it becomes another program, would keep it from being run.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drill")
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAChildIsHeld(t *testing.T) {
	t.Parallel()
	const deaf = "trap '' TERM; read word; echo begun >&2; while :; do sleep 0.1; done"
	const soon = 500 * time.Millisecond
	for name, tc := range map[string]struct {
		text     string
		deadline time.Duration
		grace    time.Duration
		stop     bool // it is asked to
		code     int
		late     bool
		words    string
	}{
		"that ends by itself":        {"read word; echo one >&2; echo lifeboat: two >&2; exit 3", time.Minute, time.Minute, false, 3, false, "exit code 3, and left no evidence: two"},
		"that works after its word":  {`read word; test "$word" = go || exit 9`, time.Minute, time.Minute, false, 0, false, ""},
		"that stops when asked":      {"trap 'exit 4' TERM; read word; echo begun >&2; while :; do sleep 0.1; done", time.Minute, time.Minute, true, 4, false, ""},
		"that does not stop":         {deaf, time.Minute, soon, true, -1, false, "was asked to stop"},
		"that hangs at its deadline": {deaf, 300 * time.Millisecond, soon, false, -1, true, "deadline"},
		"that is killed":             {"kill -9 $$", time.Minute, time.Minute, false, -1, false, "it was killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			said := &journal{}
			if tc.stop {
				go func() {
					for ctx.Err() == nil && !strings.Contains(said.String(), "begun") {
						time.Sleep(10 * time.Millisecond)
					}
					stop()
				}()
			}
			c := child{program: script(t, tc.text), deadline: tc.deadline, grace: tc.grace, stderr: said}
			ended, err := c.run(ctx)
			var late *drill.DeadlineError
			if ended.code != tc.code || errors.As(ended.err(), &late) != tc.late || !strings.Contains(ended.err().Error(), tc.words) {
				t.Errorf("exit code %d, %v; %v", ended.code, ended.err(), err)
			}
		})
	}
}

func TestAChildHearsNothingOfTheServiceManager(t *testing.T) {
	t.Parallel()
	got := childEnvironment([]string{"PATH=/bin", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "AWS_PROFILE=drills"})
	if strings.Join(got, " ") != "PATH=/bin AWS_PROFILE=drills" {
		t.Errorf("%q", got)
	}
}

// TestASupervisedDrillStopsWhenItsSchedulerIsGone is about the word that it waits for, too.
func TestASupervisedDrillStopsWhenItsSchedulerIsGone(t *testing.T) {
	t.Parallel()
	a := &app{log: slog.New(slog.DiscardHandler)}
	settings := &config.Scheduler{IOPriority: config.IONormal}
	if _, err := a.supervised(t.Context(), settings, &bytes.Buffer{}); !errors.Is(err, errAlone) {
		t.Errorf("without a word: %v", err)
	}
	out, in := io.Pipe()
	go func() { _, _ = in.Write([]byte("go\n")) }()
	ctx, err := a.supervised(t.Context(), settings, out)
	if err != nil || ctx.Err() != nil {
		t.Fatalf("after the word: %v, %v", err, ctx.Err())
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
	if !errors.Is(context.Cause(ctx), errAlone) {
		t.Errorf("%v", context.Cause(ctx))
	}
}

// TestADrillThatHangsBeforeItBeginsHasEvidence has a drill that never comes to have a lock file.
func TestADrillThatHangsBeforeItBeginsHasEvidence(t *testing.T) {
	t.Parallel()
	in := newDrillYard(t, `nightly: {schedule: "`+once+`", deadline: 500ms}`, "")
	a := &app{now: time.Now, configPath: in.config, stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler), logLevel: "info", logFormat: "text"}
	settings, err := a.settings()
	if err != nil {
		t.Fatal(err)
	}
	s := &scheduler{daemon: &daemon{app: a, work: t.Context()}, metrics: newSchedulerMetrics(), grace: 500 * time.Millisecond}
	s.program = script(t, "trap '' TERM; while :; do sleep 0.1; done")
	c := newAttended(t.Context(), s, settings, "main", nil)
	if !c.open() {
		t.Fatal("not opened")
	}
	if err := c.runDrill(t.Context(), c.drills[0]); err != nil {
		t.Fatal(err)
	}
	results, unread := c.evidence.newest(10)
	if len(results) != 1 || len(unread) != 0 {
		t.Fatalf("%v, %v", results, unread)
	}
	r := results[0]
	if r.Verdict != drill.Unproven || r.Ending.How != drill.EndedDeadline || r.Drill != "nightly" || r.Policy.RPO != time.Hour || !catalog.ValidID(r.ID) {
		t.Errorf("%s, ended %+v: %+v", r.Verdict, r.Ending, r)
	}
	for _, check := range r.Checks {
		if check.Name == drill.CheckRecovery && !strings.Contains(check.Detail, "killed at its deadline") {
			t.Errorf("%+v", check)
		}
	}
	in.eventually("it is gone, and what it was about to start is another program", func() bool { return len(in.processes(s.program)) == 0 })
}
