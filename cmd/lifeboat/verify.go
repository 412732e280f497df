package main

import (
	"context"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/term"
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
	c.Flags().StringVar(&label, "backup", "", "check this backup, by its `LABEL`, and what it needs")
	return c
}

func (a *app) verify(ctx context.Context, label string) error {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	if a.clusterName != "" {
		if _, _, err := settings.Cluster(a.clusterName); err != nil {
			return err
		}
	}
	s := &scene{settings: settings}
	if s.bucket, s.repository, err = a.openBucket(ctx, settings, reading()); err != nil {
		return err
	}
	bar := a.bar()
	report, err := verify.Repository(ctx, s.repository, verify.Options{
		Cluster: a.clusterName, Backup: label,
		Progress: func(p catalog.ScrubProgress) { bar.Show("verifying", p.Bytes, p.BytesTotal) },
	})
	bar.Done()
	if err != nil {
		return err
	}
	if err := a.addSetBack(ctx, s, &report); err != nil {
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
