package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/term"
)

const defaultConfig = "/etc/lifeboat/lifeboat.yaml"

// app is one run of the program: its streams, its clock and what the global flags say.
type app struct {
	stdout, stderr io.Writer
	now            func() time.Time

	out, errors *term.Printer
	log         *slog.Logger

	configPath, clusterName, output string
	logLevel, logFormat             string
	identityFile                    string // of the commands that have the flag
	only                            string // name of the repository to use, of the commands that have the flag

	loaded *config.Config // of the agent, whose configuration changes only when it is told so; else nil
}

// run carries out one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	a.out, a.errors = term.New(a.stdout), term.New(a.stderr)
	a.log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if isFetch(args) {
		return a.runFetch(ctx, args)
	}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		a.explain(ctx, err)
	}
	return codeOf(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "lifeboat",
		Short:             "PostgreSQL backups that are proven",
		Long:              "Lifeboat archives WAL, takes base backups, restores to any moment, and proves all of it in drills.",
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.settle() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%v; see 'lifeboat --help'", err) })
	flags := root.PersistentFlags()
	flags.StringVar(&a.configPath, "config", "", "configuration `FILE` (else $LIFEBOAT_CONFIG, else "+defaultConfig+")")
	flags.StringVar(&a.clusterName, "cluster", "", "cluster `NAME` in the configuration; may be left out where there is only one")
	flags.StringVar(&a.output, "output", "text", "`FORMAT` of the result: text or json")
	flags.StringVar(&a.logLevel, "log-level", "warn", "least `LEVEL` of log lines on stderr: debug, info, warn or error")
	flags.StringVar(&a.logFormat, "log-format", "text", "`FORMAT` of log lines: text or json")
	root.AddCommand(a.commands()...)
	for _, c := range root.Commands() {
		c.Args = usageArgs(c.Args)
	}
	root.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("there is no command %q; see 'lifeboat --help'", args[0])
		}
		return c.Help()
	}
	root.Args = cobra.ArbitraryArgs
	return root
}

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(), a.initCommand(), a.checkCommand(), a.pushCommand(), a.fetchCommand(), a.aheadCommand(), a.backupCommand(),
		a.listCommand(), a.restoreCommand(), a.verifyCommand(), a.censusCommand(), a.drillCommand(), a.dumpCommand(), a.keyCommand(),
		a.syncCommand(), a.expireCommand(), a.agentCommand(), a.schedulerCommand(),
	}
}

// usageArgs makes a wrong number of operands a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		check = cobra.NoArgs
	}
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usagef("%v: usage: %s", err, c.UseLine())
		}
		return nil
	}
}

// settle checks the global flags and sets up the log.
func (a *app) settle() error {
	if a.output != "text" && a.output != "json" {
		return usagef("--output is text or json, not %q", a.output)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return usagef("--log-level is debug, info, warn or error, not %q", a.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch a.logFormat {
	case "text":
		a.log = slog.New(slog.NewTextHandler(a.stderr, options))
	case "json":
		a.log = slog.New(slog.NewJSONHandler(a.stderr, options))
	default:
		return usagef("--log-format is text or json, not %q", a.logFormat)
	}
	return nil
}

// settings loads the configuration that the flags or the environment name.
func (a *app) settings() (*config.Config, error) {
	if a.loaded != nil {
		return a.loaded, nil
	}
	return config.Load(a.settingsPath())
}

func (a *app) settingsPath() string {
	if a.configPath != "" {
		return a.configPath
	}
	if path := os.Getenv("LIFEBOAT_CONFIG"); path != "" {
		return path
	}
	return defaultConfig
}

// json says whether one JSON document on stdout is wanted.
func (a *app) json() bool { return a.output == "json" }

func (a *app) writeJSON(value any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// bar is the progress line of a command; JSON output is for programs, so there it stays dark.
func (a *app) bar() *term.Bar {
	if a.json() {
		return term.New(io.Discard).Bar(a.now)
	}
	return a.errors.Bar(a.now)
}
