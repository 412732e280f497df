package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	o := demo.Options{Out: a.out, Now: a.now}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Tell the whole story on a throwaway primary: archive, back up, destroy a table, recover, drill, report",
		Long: "Starts a throwaway PostgreSQL under load, archives and backs it up, drops a table, recovers it to the moment\n" +
			"before, and runs a drill. Leaves the drill's HTML report and nothing else.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			o.Lifeboat = self
			var verdict *demo.VerdictError
			var usage *demo.UsageError
			err = demo.Run(c.Context(), o)
			if errors.As(err, &usage) {
				return usagef("%v", usage)
			}
			if !errors.As(err, &verdict) {
				return err
			}
			a.errors.Printf("lifeboat: %v\n", verdict)
			return verdictCode(verdict.Verdict)
		},
	}
	c.Flags().StringVar(&o.Repository, "repository", "file", "`KIND` of the repository: file, s3 (on versitygw) or gcs (on fake-gcs-server)")
	c.Flags().BoolVar(&o.Plain, "plain", false, "neither encrypt nor sign")
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave the scene as it stands and say how to look at it")
	c.Flags().StringVar(&o.Report, "report", "lifeboat-demo-report.html", "`FILE` that the drill's HTML report is written to")
	c.Flags().StringVar(&o.PostgresBin, "postgres-bin", "", "`DIRECTORY` of the PostgreSQL programs to use (default: the newest found)")
	return c
}
