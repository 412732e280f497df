package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/term"
	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/verify"
)

func (a *app) verifyCommand() *cobra.Command {
	var label string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Read the repository and check every checksum and reference, and the WAL's continuity",
		Long: "Reads every byte of the repository, or of one backup and what it needs. Exits 0 when all is sound, 3 when\n" +
			"something is damaged or missing, and 1 when it could not be read.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.verify(c.Context(), label) },
	}
	a.identityFlag(c.Flags())
	a.repositoryFlag(c.Flags())
	c.Flags().StringVar(&label, "backup", "", "check this backup, by its `LABEL`, and what it needs")
	return c
}

func (a *app) verify(ctx context.Context, label string) error {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	views, err := a.verified(settings)
	if err != nil {
		return err
	}
	var report verify.Report
	if len(views) == 1 {
		report, err = a.verifyOne(ctx, views[0], label)
	} else {
		report, err = a.verifyEach(ctx, views, label)
	}
	if err != nil {
		return err
	}
	if a.json() {
		err = a.writeJSON(report)
	} else {
		a.tellVerification(report)
	}
	if err == nil {
		err = verdictCode(string(report.Result()))
	}
	return err
}

// verified is the configuration with each repository alone that is to be verified.
func (a *app) verified(settings *config.Config) ([]*config.Config, error) {
	if a.clusterName == "" && a.only == "" {
		return settings.Each(), nil
	}
	name, _, err := settings.Cluster(a.clusterName)
	if err != nil {
		return nil, err
	}
	return a.chosen(settings, name)
}

func (a *app) verifyOne(ctx context.Context, settings *config.Config, label string) (report verify.Report, err error) {
	s := &scene{settings: settings}
	if s.bucket, s.repository, err = a.openBucket(ctx, settings, reading()); err != nil {
		return report, err
	}
	bar := a.bar()
	report, err = verify.Repository(ctx, s.repository, verify.Options{
		Cluster: a.clusterName, Backup: label,
		Progress: func(p catalog.ScrubProgress) {
			bar.Show(strings.TrimSpace("verifying "+settings.Repository.Name.Value), p.Bytes, p.BytesTotal)
		},
	})
	bar.Done()
	if err != nil {
		return report, err
	}
	a.noteProof(ctx, s, report)
	return report, a.addSetBack(ctx, s, &report)
}

// verifyEach verifies every repository by itself. One that cannot be read is not proven, and does not keep the others from
// being read.
func (a *app) verifyEach(ctx context.Context, views []*config.Config, label string) (verify.Report, error) {
	sum := verify.Report{Backups: []verify.Proven{}}
	for _, view := range views {
		report, err := a.verifyOne(storage.WithPatience(ctx, copyPatience), view, label)
		if ctx.Err() != nil {
			return sum, ctx.Err()
		}
		if err != nil {
			report.Findings = []verify.Finding{{Severity: verify.Unproven, Object: "all objects", Detail: err.Error(), Hint: hintOf(err)}}
		}
		for _, f := range report.Findings {
			f.Object = "repository " + view.Repository.Name.Value + ", " + f.Object
			sum.Findings = append(sum.Findings, f)
		}
		for _, b := range report.Backups {
			b.Repository = view.Repository.Name.Value
			sum.Backups = append(sum.Backups, b)
		}
		sum.Objects += report.Objects
		sum.Bytes += report.Bytes
	}
	return sum, nil
}

// verdictCode is nil for pass and warn, and otherwise the exit code of a result that was told.
func verdictCode(result string) error {
	switch result {
	case "pass", "ok", "warn":
		return nil
	case "unproven":
		return &codeError{code: exitUnproven}
	}
	return &codeError{code: exitFail}
}

func (a *app) tellVerification(r verify.Report) {
	for _, f := range r.Findings {
		a.out.Printf("%s  %s: %s\n", a.out.Verdict(string(f.Severity)), f.Object, f.Detail)
		if f.Hint != "" {
			a.out.Printf("      %s\n", f.Hint)
		}
	}
	a.out.Printf("%s  %s objects, %s read\n", a.out.Verdict(string(r.Result())), term.Count(r.Objects), term.Bytes(r.Bytes))
}
