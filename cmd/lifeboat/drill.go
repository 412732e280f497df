package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/term"
	"lifeboat/drill"
	"lifeboat/restore"
	"lifeboat/storage"
)

func (a *app) drillCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "drill",
		Short: "Restore into a scratch instance, compare with production's census, and give a verdict",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.drillRunCommand(), a.drillListCommand(), a.drillShowCommand(), a.drillReportCommand(), a.drillSummaryCommand())
	a.identityFlag(c.PersistentFlags())
	a.repositoryFlag(c.PersistentFlags())
	for _, sub := range c.Commands() {
		sub.Args = usageArgs(sub.Args)
	}
	return c
}

// drillRequest is what the command line says of a drill.
type drillRequest struct {
	name, backup, to string
	target           targetFlags
	mandate          mandateFlags
	supervision      drillSupervision
}

func (a *app) drillRunCommand() *cobra.Command {
	r := drillRequest{name: "nightly"}
	c := &cobra.Command{
		Use:   "run [NAME]",
		Short: "Run a drill now",
		Long: "Runs the drill NAME of the configuration (default: nightly), or one to the target that a --to- flag names.\n" +
			"Exits 0 for pass and warn, 3 for fail, 4 for unproven, 5 when the target cannot be reached.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				r.name = args[0]
			}
			r.mandate.command = commandLine(c, args)
			return a.drillRun(c.Context(), r)
		},
	}
	r.target.add(c.Flags())
	r.mandate.add(c.Flags())
	r.supervision.add(c.Flags())
	c.Flags().StringVar(&r.to, "to", "", "recover to this `TARGET`, in the words of the configuration: latest, a time, 1h ago, random, 'restore point' or 'before last ddl'")
	c.Flags().StringVar(&r.backup, "backup", "", "start from this backup, by its `LABEL` (default: the best one)")
	return c
}

func (a *app) drillRun(ctx context.Context, r drillRequest) error {
	ctx, err := a.underSupervision(ctx, r.supervision)
	if err != nil {
		return err
	}
	s, err := a.openKnown(ctx, drilling())
	if err != nil {
		return err
	}
	options, err := a.drillOptions(s, r)
	if err != nil {
		return err
	}
	if err := r.mandate.complete(&options, s); err != nil {
		return err
	}
	holdDrill(&options, &s.settings.Scheduler, s.config.Drills[r.name], r.supervision.id)
	var lent loans
	a.isolate(s, &options, &lent)
	options.Others = a.others(ctx, s)
	bar := a.bar()
	options.Progress = func(phase string, done, total int64) { bar.Show(phase, done, total) }
	result, err := drill.Run(ctx, options)
	bar.Done()
	err = errors.Join(err, lent.remove())
	a.rememberHead(ctx, s)
	if result == nil {
		return usageOf(err)
	}
	if a.json() {
		err = errors.Join(a.writeJSON(result), err)
	} else {
		a.tellDrill(result)
	}
	if err != nil {
		return err
	}
	return verdictCode(string(result.Verdict))
}

func (a *app) drillOptions(s *scene, r drillRequest) (drill.Options, error) {
	configured, err := drillNamed(s.config, r.name)
	if err != nil {
		return drill.Options{}, err
	}
	aim, err := a.drillAim(configured, r.to, r.target)
	if err != nil {
		return drill.Options{}, err
	}
	owner, err := s.owner(s.settings.Scheduler.WorkDirectory)
	if err != nil {
		return drill.Options{}, err
	}
	return drill.Options{
		Repository: s.repository, Cluster: s.cluster, Name: r.name, Target: aim.target, Wish: aim.wish, Timeline: aim.timeline, Backup: r.backup,
		WorkDirectory: s.settings.Scheduler.WorkDirectory, PostgresBin: s.settings.Scheduler.PostgresBin,
		FetchCommand: fetchCommand(), Owner: owner,
		Dump:    drill.DumpOptions{All: configured.Dump.Databases.All, Databases: configured.Dump.Databases.Names},
		Targets: a.drillTargets(s.config), Examination: examination(s.config), Production: production(s),
		Log: a.log, Now: a.now, ToolVersion: version(),
	}, nil
}

// lendHook gives the scratch server's restore_command what it needs, for as long as the drill lasts.
func (a *app) lendHook(ctx context.Context, s *scene, o *drill.Options) (all loans, err error) {
	var accesses []hookAccess
	for _, view := range s.views {
		access, lent, err := a.lendAccess(ctx, view, o.Owner)
		if lent != nil {
			all = append(all, lent)
		}
		if err != nil {
			return nil, errors.Join(err, all.remove())
		}
		accesses = append(accesses, access)
	}
	o.HookConfig = hookConfig(s.name, accesses)
	return all, nil
}

func (a *app) lendAccess(ctx context.Context, settings *config.Config, owner *restore.Owner) (hookAccess, *loan, error) {
	access := hookAccess{repository: &settings.Repository}
	var err error
	if access.identity, err = a.identityPath(settings); err != nil {
		return access, nil, err
	}
	var lent *loan
	if access.from, lent, err = a.lendCredentials(ctx, settings, findCredentials(access.repository), owner); err != nil {
		return access, nil, err
	}
	return access, lent, checkHookFiles(hookFiles(access), owner)
}

// others are the cluster's further repositories, which a drill verifies too.
func (a *app) others(ctx context.Context, s *scene) map[string]drill.OtherRepository {
	others := map[string]drill.OtherRepository{}
	for _, c := range s.copies {
		if c.settings == s.settings {
			continue
		}
		err := c.open(storage.WithPatience(ctx, copyPatience), a, drilling())
		others[c.name()] = drill.OtherRepository{Repository: c.repository, Err: err}
	}
	return others
}

func (a *app) drillTargets(c *config.Cluster) drill.Targets {
	return drill.Targets{
		RowsPercent: float64(c.Targets.Rows), WarnAtPercent: float64(c.Targets.WarnAt),
		RestorePerTerabyte: time.Duration(c.Targets.RestorePerTerabyte), RPO: time.Duration(c.Targets.RPO),
		MaxBackupAge: oldest(c.Backup.Schedule, a.now()), MaxCensusAge: oldest(c.Census.Schedule, a.now()),
	}
}

func (a *app) tellDrill(r *drill.Result) {
	a.out.Printf("drill %s of cluster %s: %s\n", r.Drill, r.Cluster, a.out.Paint(term.Strong, a.out.Verdict(string(r.Verdict))))
	a.tellTarget(r)
	a.out.Printf("  rows: %s (%s)\n\n", r.Rows.Comparison, r.Rows.Why)
	checks := make([][]string, 0, len(r.Checks))
	for _, c := range r.Checks {
		checks = append(checks, []string{c.Name, string(c.Result), c.Detail})
	}
	a.out.Table([]term.Column{{Title: "check"}, {Title: "result"}, {Title: "detail"}}, checks)
	a.out.Printf("\n")
	a.tellLayers(r.Layers)
	targets := make([][]string, 0, len(r.Targets))
	for _, t := range r.Targets {
		targets = append(targets, []string{t.Name, t.Target, t.Actual, fmt.Sprintf("%.0f %%", t.UsedPercent), string(t.Result)})
	}
	a.out.Table([]term.Column{{Title: "target"}, {Title: "promised"}, {Title: "measured"}, {Title: "used", Right: true}, {Title: "result"}}, targets)
	a.tellProof(r)
	a.out.Printf("\n  report: lifeboat drill report %s --format html > report.html\n", r.ID)
}

func (a *app) drillListCommand() *cobra.Command {
	var filter drillFilter
	c := &cobra.Command{
		Use:   "list",
		Short: "List the drills whose evidence is in the repository",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.drillList(c.Context(), filter) },
	}
	filter.add(c.Flags())
	return c
}

func (a *app) drillList(ctx context.Context, filter drillFilter) error {
	if err := filter.check(); err != nil {
		return err
	}
	s, err := a.openKnown(ctx, asking())
	if err != nil {
		return err
	}
	results, problems, err := drill.List(ctx, s.cluster)
	if err != nil {
		return err
	}
	results = filter.apply(results)
	if a.json() {
		err = a.writeJSON(results)
	} else {
		a.tellDrills(results)
	}
	for _, p := range problems {
		a.errors.Printf("lifeboat: %v\n", p)
	}
	if err == nil && len(problems) > 0 {
		return &codeError{code: exitFail}
	}
	return err
}

func (a *app) tellDrills(results []*drill.Result) {
	if len(results) == 0 {
		a.out.Printf("no drills yet: run one with 'lifeboat drill run'\n")
		return
	}
	rows := make([][]string, 0, len(results))
	for _, r := range results {
		rows = append(rows, []string{r.ID, r.Drill, string(r.Verdict), stamp(r.Started), r.Rows.Comparison,
			term.Duration(time.Duration(r.RTOSeconds * float64(time.Second)))})
	}
	a.out.Table([]term.Column{{Title: "id"}, {Title: "drill"}, {Title: "verdict"}, {Title: "started"}, {Title: "rows"}, {Title: "restored in", Right: true}}, rows)
}

func (a *app) drillShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one drill's result; latest is the newest one",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			result, _, err := a.loadDrill(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json() {
				return a.writeJSON(result)
			}
			a.tellDrill(result)
			return nil
		},
	}
}

func (a *app) loadDrill(ctx context.Context, id string) (*drill.Result, *scene, error) {
	s, err := a.openKnown(ctx, asking())
	if err != nil {
		return nil, nil, err
	}
	result, err := loadDrill(ctx, s.cluster, id)
	return result, s, err
}

func (a *app) drillReportCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "report ID",
		Short: "Write one drill's report to standard output; latest is the newest one",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return a.drillReport(c.Context(), args[0], format) },
	}
	c.Flags().StringVar(&format, "format", "html", "`FORMAT`: html, json or junit")
	return c
}

func (a *app) drillReport(ctx context.Context, id, format string) error {
	if format != "html" && format != "json" && format != "junit" {
		return usagef("--format is html, json or junit, not %q", format)
	}
	result, s, err := a.loadDrill(ctx, id)
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return a.writeJSON(result)
	case "junit":
		return drill.WriteJUnit(a.stdout, result)
	}
	history, _, err := drill.List(ctx, s.cluster)
	if err != nil {
		return err
	}
	return drill.WriteHTML(a.stdout, result, history)
}
