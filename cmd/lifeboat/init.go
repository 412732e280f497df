package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"lifeboat/archive"
	"lifeboat/cmd/internal/config"
	"lifeboat/storage/catalog"
	"lifeboat/storage/file"
)

// initOptions are what a first configuration is written from.
type initOptions struct {
	repository, connection, dataDirectory string
	endpoint, region                      string
	pathStyle                             bool
	recipients                            []string
	stream                                bool
}

func (a *app) initCommand() *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a configuration, create the repository, and print what PostgreSQL needs",
		Long: "Without a configuration: writes one, creates the repository, makes the cluster known to it, and prints\n" +
			"the GRANTs and the postgresql.conf lines. With one at hand: only creates the repository and makes the\n" +
			"clusters known. Harmless when repeated. A bucket must be there already.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.init(c.Context(), o) },
	}
	c.Flags().StringVar(&o.repository, "repository", "file:///var/lib/lifeboat/repository", "`URL` of the repository (file, s3 or gs), for a new configuration")
	c.Flags().StringArrayVar(&o.recipients, "recipient", nil, "seal everything for this age `RECIPIENT`, for a new configuration; may be repeated")
	c.Flags().StringVar(&o.endpoint, "endpoint", "", "`URL` of a store that speaks the protocol of S3 or GCS, for a new configuration")
	c.Flags().StringVar(&o.region, "region", "", "`REGION` of an s3:// bucket, for a new configuration")
	c.Flags().BoolVar(&o.pathStyle, "path-style", false, "name the bucket in the path, as many stores of one's own want it, for a new configuration")
	c.Flags().BoolVar(&o.stream, "stream", false, "let the agent stream WAL as it is written, for a new configuration")
	c.Flags().StringVar(&o.connection, "connection", "host=/var/run/postgresql dbname=postgres", "connection `STRING` of the server, for a new configuration")
	c.Flags().StringVar(&o.dataDirectory, "data-directory", "", "data `DIRECTORY` of the server, for a new configuration (default: asked of the server)")
	return c
}

func (a *app) init(ctx context.Context, o initOptions) error {
	written, err := a.ensureSettings(o)
	if err != nil {
		return err
	}
	settings, err := a.settings()
	if err != nil {
		return err
	}
	var created error
	for _, view := range settings.Each() {
		created = errors.Join(created, a.initRepository(ctx, view))
	}
	if written && created == nil {
		a.printSetUp(ctx, settings)
	}
	return created
}

// initRepository makes one repository, and the clusters that use it known to it.
func (a *app) initRepository(ctx context.Context, settings *config.Config) error {
	repository, err := a.createRepository(ctx, settings)
	if err != nil {
		return err
	}
	a.say("repository ready: %s\n", repository.Location())
	var registered error
	for _, name := range settings.ClusterNames() {
		if settings.Uses(name) {
			registered = errors.Join(registered, a.register(ctx, repository, name, settings.Clusters[name]))
		}
	}
	return registered
}

// say prints a line of text output; JSON output is one document, which init does not have.
func (a *app) say(format string, args ...any) {
	if !a.json() {
		a.out.Printf(format, args...)
	}
}

// ensureSettings writes a first configuration where there is none.
func (a *app) ensureSettings(o initOptions) (written bool, err error) {
	path := a.settingsPath()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	text := newSettings(o, a.clusterName)
	if _, err := config.Parse(path, []byte(text)); err != nil {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("write the configuration: %w", err)
	}
	handle, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, fmt.Errorf("write the configuration: %w", err)
	}
	_, err = handle.WriteString(text)
	if err := errors.Join(err, handle.Sync(), handle.Close()); err != nil {
		return false, errors.Join(fmt.Errorf("write the configuration: %w", err), os.Remove(path))
	}
	a.say("configuration written: %s\n", path)
	return true, giveToServer(path, o.dataDirectory)
}

func newSettings(o initOptions, name string) string {
	if name == "" {
		name = "main"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "repository:\n  url: %q\n", o.repository)
	writeSection(&text, o.section(), o.storeSettings())
	if len(o.recipients) > 0 {
		text.WriteString("  encryption:\n    recipients:\n")
	}
	for _, recipient := range o.recipients {
		fmt.Fprintf(&text, "      - %q\n", recipient)
	}
	fmt.Fprintf(&text, "clusters:\n  %s:\n    connection: %q\n", name, o.connection)
	if o.dataDirectory != "" {
		fmt.Fprintf(&text, "    data_directory: %q\n", o.dataDirectory)
	}
	if o.stream {
		text.WriteString("    wal: {stream: true, interval: 1s, durable: spool, spool_limit: 10GiB}\n")
	}
	text.WriteString("    backup: {schedule: \"0 2 * * *\"}\n    targets: {rows: 1%, restore_per_terabyte: 2h, rpo: 60s, warn_at: 70%}\n")
	text.WriteString(furtherSettings)
	return text.String()
}

// furtherSettings are those that a new installation comes to next.
const furtherSettings = `    # further settings, to be had by removing the sign before them; all are in docs/commands.md
    # retention: {keep: 14d, minimum_full: 2}
    # census: {schedule: "30 3 * * *"}
    # drills: {nightly: {schedule: "0 4 * * *", to: latest}}
# scheduler: {work_directory: /var/lib/lifeboat/scratch, notify: {webhook: {url: "https://alerts.example.com/lifeboat"}}}
`

// section is the key of the settings that belong to the kind of the repository.
func (o initOptions) section() string {
	if strings.HasPrefix(o.repository, config.SchemeGCS+"://") {
		return "gcs"
	}
	return config.SchemeS3
}

func (o initOptions) storeSettings() [][2]string {
	list := [][2]string{{"endpoint", o.endpoint}, {"region", o.region}}
	if o.pathStyle {
		list = append(list, [2]string{"path_style", "true"})
	}
	return list
}

// createRepository makes the place a repository: a sealed one where recipients are named. A store that overwrites what it
// was told to create only is refused.
func (a *app) createRepository(ctx context.Context, settings *config.Config) (*catalog.Repository, error) {
	if directory := settings.Repository.Place().Directory; directory != "" {
		if err := a.createDirectory(ctx, settings, directory); err != nil {
			return nil, err
		}
	}
	keys, err := a.keys(settings, creating())
	if err != nil {
		return nil, err
	}
	bucket, err := a.bucket(ctx, settings, creating())
	if err != nil {
		return nil, err
	}
	create := catalog.Create
	if keys.Recipients != nil {
		create = catalog.CreateSealed
	}
	repository, err := create(ctx, bucket, a.now())
	if err != nil {
		return nil, err
	}
	return repository.With(keys), requireConditional(ctx, bucket)
}

// createDirectory makes the directory of a file:// repository. As root a new one is given to the owner of the first data
// directory that is named, since PostgreSQL's own user has to write there.
func (a *app) createDirectory(ctx context.Context, settings *config.Config, directory string) error {
	_, missing := os.Stat(directory)
	if err := a.refuseStrangers(ctx, settings, directory); err != nil {
		return err
	}
	if _, err := file.Create(directory, file.Options{Now: a.now, Log: a.log}); err != nil {
		return err
	}
	if errors.Is(missing, fs.ErrNotExist) && os.Geteuid() == 0 {
		a.giveRepository(ctx, directory, settings.Clusters[settings.ClusterNames()[0]])
	}
	return nil
}

// refuseStrangers keeps a repository out of a directory that is in use for something else.
func (a *app) refuseStrangers(ctx context.Context, settings *config.Config, directory string) error {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look into the repository's directory: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == ".tmp" || e.Name() == "lost+found" })
	if len(entries) == 0 {
		return nil
	}
	bucket, err := a.bucket(ctx, settings, creating())
	if err != nil {
		return err
	}
	if _, err := catalog.Open(ctx, bucket); !errors.Is(err, catalog.ErrNoRepository) {
		return err
	}
	return &archive.OperatorError{
		Message: fmt.Sprintf("%s holds %s and is no repository", directory, entries[0].Name()),
		Hint:    "name an empty or a new directory in repository.url",
	}
}

// giveRepository gives a new repository to the user that PostgreSQL runs as, where that can be found out.
func (a *app) giveRepository(ctx context.Context, directory string, c *config.Cluster) {
	data, err := dataDirectory(ctx, c)
	if err == nil {
		err = giveToServer(directory, data)
	}
	if err != nil {
		a.log.Warn("the repository belongs to root, and PostgreSQL's user must be able to write to it", "error", err)
	}
}

func (a *app) register(ctx context.Context, repository *catalog.Repository, name string, c *config.Cluster) error {
	identity, err := identify(ctx, c)
	if err != nil {
		if known, knownErr := repository.Cluster(ctx, name); knownErr == nil {
			a.say("cluster %s is known: system identifier %d\n", name, known.Identity().SystemIdentifier)
			return nil
		}
		return &archive.OperatorError{
			Message: fmt.Sprintf("the repository is ready, but cluster %q could not be made known to it", name),
			Hint:    "start its server, check 'connection' and 'data_directory', and run 'lifeboat init' again", Err: err,
		}
	}
	if _, err := repository.Register(ctx, name, identity, a.now()); err != nil {
		return err
	}
	a.say("cluster %s is known: system identifier %d\n", name, identity.SystemIdentifier)
	return nil
}

// printSetUp prints what the administrator of the server does next.
func (a *app) printSetUp(ctx context.Context, settings *config.Config) {
	for _, name := range settings.ClusterNames() {
		role, major := a.roleAndVersion(ctx, settings.Clusters[name])
		grants := archive.Grants(major, role)
		if settings.Clusters[name].WAL.Stream {
			grants = append(grants, archive.GrantReplication(role))
			a.say("\n# pg_hba.conf of cluster %s, as your other lines do it\n%s\n", name, hbaLine(settings.Clusters[name], role))
		}
		a.say("\n# as a superuser of cluster %s\n%s\n", name, strings.Join(grants, "\n"))
		a.say("\n# postgresql.conf, then restart\n%s\n", strings.Join(a.serverSettings(settings, name), "\n"))
	}
	a.say("\n# then\nlifeboat check\nlifeboat backup\n")
}

// serverSettings are the lines of postgresql.conf that hand the server's WAL to this installation.
func (a *app) serverSettings(settings *config.Config, cluster string) []string {
	path, err := filepath.Abs(a.settingsPath())
	if err != nil {
		path = a.settingsPath()
	}
	socket := ""
	if settings.Agent.Socket != config.DefaultSocket {
		socket = fmt.Sprintf(` --socket "%s"`, settings.Agent.Socket)
	}
	lines := []string{
		"wal_level = replica",
		"archive_mode = on",
		fmt.Sprintf("archive_command = '\"%s\" push%s --config \"%s\" --cluster %s %%p'", hookPath(), socket, path, cluster),
		"archive_timeout = 60s",
	}
	if settings.Clusters[cluster].WAL.Stream {
		lines = append(lines, "max_wal_senders = 10", "max_replication_slots = 10",
			"max_slot_wal_keep_size = 10GB    # what an agent that is away may cost pg_wal's disk; lifeboat check proposes a size")
	}
	return lines
}

// hookPath is the hook binary that lies beside this one.
func hookPath() string {
	self, err := os.Executable()
	if err != nil {
		return "lifeboat-wal"
	}
	return filepath.Join(filepath.Dir(self), "lifeboat-wal")
}

// roleAndVersion asks the server for what the GRANTs depend on, and falls back to the connection string and the
// newest version where it does not answer.
func (a *app) roleAndVersion(ctx context.Context, c *config.Cluster) (role string, major int) {
	role, major = "lifeboat", 18
	if options, err := pgx.ParseConfig(c.Connection); err == nil && options.User != "" {
		role = options.User
	}
	conn, err := connector(c)(ctx, "")
	if err != nil {
		return role, major
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var number int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&number); err == nil {
		major = number / 10000
	}
	return role, major
}
