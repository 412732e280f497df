package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/term"
	"lifeboat/storage/catalog"
)

// finding is one thing that check looked at, and what mends it where it is not right.
type finding struct {
	Subject string `json:"subject"`
	Result  string `json:"result"` // pass, warn, fail or unproven
	Detail  string `json:"detail"`
	Mend    string `json:"mend,omitempty"`
}

// checker collects findings about one cluster.
type checker struct {
	app      *app
	scene    *scene
	findings []finding
}

func (k *checker) add(subject, result, mend, detail string, args ...any) {
	f := finding{Subject: subject, Result: result, Detail: fmt.Sprintf(detail, args...)}
	if result != "pass" {
		f.Mend = mend
	}
	k.findings = append(k.findings, f)
}

func (a *app) checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what is not right, each finding with what mends it",
		Long: "Looks at the configuration and its keys, at what the store can and may do, at the server's settings and\n" +
			"privileges, the round trip of a WAL segment through archive_command, gaps, and the age of the last backup and\n" +
			"drill. Exits 0 when nothing fails, 1 when something does, and 4 when something could not be found out.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.check(c.Context()) },
	}
	a.identityFlag(c.Flags())
	return c
}

func (a *app) check(ctx context.Context) error {
	s, err := a.scene()
	if err != nil {
		return err
	}
	k := &checker{app: a, scene: s}
	k.add("configuration", "pass", "", "%s", s.settings.Path)
	k.openAll(ctx)
	k.checkServer(ctx)
	k.checkRepository(ctx)
	k.checkAgent(ctx)
	k.checkNotifications()
	if a.json() {
		err = a.writeJSON(k.findings)
	} else {
		a.tellFindings(k.findings)
	}
	if err != nil {
		return err
	}
	return checkCode(k.findings)
}

// open opens the store and the repository in it, as far as that goes, and says how far it went.
func (k *checker) open(ctx context.Context, keys catalog.Keys) {
	s := k.scene
	var err error
	if s.bucket, err = k.app.bucket(ctx, s.settings, checking()); err != nil {
		k.add("store", resultOf(err), mendStore(err), "%v", err)
		return
	}
	if !k.checkStore(ctx) {
		return
	}
	repository, err := catalog.Open(ctx, s.bucket)
	if err != nil {
		k.add("repository", resultOf(err), hintOf(err), "%v", err)
		return
	}
	s.repository = repository.With(keys)
	k.add("repository", "pass", "", "%s", s.repository.Location())
	if err := s.findCluster(ctx); err != nil {
		k.add("cluster", resultOf(err), hintOf(err), "%v", err)
	}
	k.checkSealing(keys)
}

func checkCode(findings []finding) error {
	code := exitDone
	for _, f := range findings {
		switch f.Result {
		case "fail":
			return &codeError{code: exitError}
		case "unproven":
			code = exitUnproven
		}
	}
	if code == exitDone {
		return nil
	}
	return &codeError{code: code}
}

func (a *app) tellFindings(findings []finding) {
	rows := make([][]string, 0, len(findings))
	for _, f := range findings {
		rows = append(rows, []string{f.Result, f.Subject, f.Detail})
	}
	a.out.Table([]term.Column{{Title: "result"}, {Title: "subject"}, {Title: "detail"}}, rows)
	first := true
	for _, f := range findings {
		if f.Mend == "" {
			continue
		}
		if first {
			a.out.Printf("\nto mend\n")
			first = false
		}
		a.out.Printf("  %s: %s\n", f.Subject, f.Mend)
	}
}

// ago says how long something has been.
func (k *checker) ago(t time.Time) string {
	return term.Duration(k.app.now().Sub(t)) + " ago"
}
