package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const documented = `
repository:
  url: file:///var/lib/lifeboat/repository
  s3: {endpoint: http://127.0.0.1:7070, region: us-east-1, path_style: true}
  gcs: {endpoint: http://127.0.0.1:4443}
  encryption: {identity_file: /etc/lifeboat/identity.txt}
clusters:
  main:
    connection: host=/var/run/postgresql user=lifeboat dbname=postgres
    data_directory: /var/lib/postgresql/15/main
    wal: {stream: true, interval: 1s, durable: repository, spool_limit: 20GiB, compression: s2}
    backup: {schedule: "0 2 * * *", full_every: 7d}
    retention: {keep: 14d, minimum_full: 2, keep_evidence: 730d, schedule: "0 5 * * *"}
    census: {schedule: "30 3 * * *"}
    drills:
      nightly:   {schedule: "0 4 * * *", to: latest}
      quarterly: {schedule: "0 6 1 1,4,7,10 *", to: 1h ago}
    targets: {rows: 1%, restore_per_terabyte: 2h, rpo: 60s, warn_at: 70%}
agent:     {socket: /run/lifeboat/agent.sock, listen: 127.0.0.1:9870}
scheduler: {work_directory: /var/lib/lifeboat/scratch, postgres_bin: /usr/lib/postgresql/15/bin, listen: 127.0.0.1:9871}
`

func TestTheDocumentedConfigurationIsRead(t *testing.T) {
	t.Parallel()
	c, err := Parse("lifeboat.yaml", []byte(documented))
	if err != nil {
		t.Fatal(err)
	}
	name, main, err := c.Cluster("")
	if err != nil || name != "main" {
		t.Fatalf("the only cluster: %q, %v", name, err)
	}
	if got := time.Duration(main.Backup.FullEvery); got != 7*24*time.Hour {
		t.Errorf("full_every: %v", got)
	}
	if main.WAL.Compression != S2 {
		t.Errorf("compression: %q", main.WAL.Compression)
	}
	if main.Targets.Rows != 1 || main.Targets.WarnAt != 70 || time.Duration(main.Targets.RPO) != time.Minute {
		t.Errorf("targets: %+v", main.Targets)
	}
	if main.WAL.Durable != InRepository || main.WAL.SpoolLimit != 20<<30 {
		t.Errorf("wal: %+v", main.WAL)
	}
	if r := main.Retention; time.Duration(r.KeepEvidence) != 730*24*time.Hour || r.Schedule.Schedule == nil {
		t.Errorf("retention: %+v", r)
	}
	if main.Drills["quarterly"].To.Value != "1h ago" || main.Drills["nightly"].Schedule.Schedule == nil {
		t.Errorf("drills: %+v", main.Drills)
	}
}

func TestWhatIsLeftOutHasTheDocumentedDefault(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", []byte("repository: {url: 'file:///r'}\nclusters: {main: }\n"))
	if err != nil {
		t.Fatal(err)
	}
	main := c.Clusters["main"]
	if time.Duration(main.Targets.RestorePerTerabyte) != 2*time.Hour || main.Drills["quarterly"].To.Value != "1h ago" || main.Drills["nightly"].To.Value != "latest" {
		t.Errorf("defaults: %+v", main)
	}
	if main.WAL.Durable != InSpool || main.WAL.SpoolLimit != 10<<30 || time.Duration(main.WAL.Interval) != time.Second {
		t.Errorf("defaults of wal: %+v", main.WAL)
	}
	if main.WAL.Compression != Zstd {
		t.Errorf("compression: %q", main.WAL.Compression)
	}
	from := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	if q := main.Drills["quarterly"].Schedule; q.Schedule == nil || !q.Next(from).Equal(time.Date(2026, 4, 1, 6, 0, 0, 0, time.UTC)) {
		t.Errorf("the quarterly drill has no schedule: %+v", q)
	}
	if c.Scheduler.WorkDirectory != "/var/lib/lifeboat/scratch" {
		t.Errorf("work directory: %q", c.Scheduler.WorkDirectory)
	}
}

func TestStreamingPromisesASmallerLoss(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", []byte("repository: {url: 'file:///r'}\nclusters: {main: {wal: {stream: true}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(c.Clusters["main"].Targets.RPO); got != 5*time.Second {
		t.Errorf("rpo: %v", got)
	}
}

func TestEachMistakeIsNamedWithItsPlace(t *testing.T) {
	t.Parallel()
	head := "repository: {url: 'file:///r'}\n"
	two := "repositories: [{name: a, url: 'file:///a'}, {name: b, url: 'file:///b'}]\n"
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":            {head + "clusters:\n  main: {conection: x}\n", `f.yaml:3:10: unknown field "conection"`},
		"duplicate key":          {head + "repository: {url: 'file:///s'}\n", "f.yaml:2:1: "},
		"odd compression":        {head + "clusters: {main: {wal: {compression: lz4}}}\n", "f.yaml:2:38: compression is zstd or s2, not \"lz4\""},
		"not YAML":               {head + "clusters: [\n", "f.yaml:"},
		"no repository":          {"clusters: {main: {}}\n", "repository.url is missing"},
		"relative repository":    {"repository: {url: 'file://r/x'}\nclusters: {main: {}}\n", "f.yaml:1:19: repository.url: \"file://r/x\" names no absolute path"},
		"path instead of URL":    {"repository: {url: /var/x}\nclusters: {main: {}}\n", "does not begin with file://"},
		"no cluster":             {head, "no cluster is named"},
		"bad cluster name":       {head + "clusters: {Main: {}}\n", `"Main" is not a cluster name`},
		"duration without unit":  {head + "clusters: {main: {retention: {keep: 14}}}\n", `f.yaml:2:37: "14" is not a length of time`},
		"negative duration":      {head + "clusters: {main: {retention: {keep: -1d}}}\n", "is not a length of time"},
		"zero duration":          {head + "clusters: {main: {retention: {keep: 0s}}}\n", "longer than nothing"},
		"percent without sign":   {head + "clusters: {main: {targets: {rows: 1}}}\n", `"1" has no unit`},
		"percent above 100":      {head + "clusters: {main: {targets: {rows: 101%}}}\n", "not a percentage above 0%"},
		"unknown isolation":      {head + "clusters: {main: {}}\nscheduler: {isolation: none}\n", `f.yaml:3:24: isolation is required or best effort, not "none"`},
		"nowhere durable":        {head + "clusters: {main: {wal: {durable: disk}}}\n", `f.yaml:2:34: durable is spool or repository, not "disk"`},
		"size without unit":      {head + "clusters: {main: {wal: {spool_limit: 10}}}\n", `f.yaml:2:38: "10" is not a size`},
		"no size at all":         {head + "clusters: {main: {wal: {spool_limit: 0GiB}}}\n", `"0GiB" is not a size`},
		"bad schedule":           {head + "clusters: {main: {backup: {schedule: nightly}}}\n", `"nightly" is not a cron schedule`},
		"bad parallel":           {head + "clusters: {main: {}}\nscheduler: {parallel: 0}\n", `"0" is not a number from 1 on`},
		"bad nice":               {head + "clusters: {main: {}}\nscheduler: {nice: 20}\n", `f.yaml:3:19: "20" is not a number from 0`},
		"bad I/O priority":       {head + "clusters: {main: {}}\nscheduler: {io_priority: fast}\n", `"fast" is not an I/O priority`},
		"bad CPU limit":          {head + "clusters: {main: {}}\nscheduler: {cpu_limit: 2}\n", `"2" is not a share of CPU time`},
		"bad disk limit":         {head + "clusters: {main: {}}\nscheduler: {disk_limit: 5}\n", `"5" is not a size`},
		"bad deadline":           {head + "clusters: {main: {drills: {nightly: {deadline: 4}}}}\n", `"4" is not a length of time`},
		"bad expiry schedule":    {head + "clusters: {main: {retention: {schedule: daily}}}\n", `f.yaml:2:41: "daily" is not a cron schedule`},
		"bad connection":         {head + "clusters: {main: {connection: 'host=x port=abc'}}\n", "clusters.main.connection is not a connection string"},
		"relative data dir":      {head + "clusters: {main: {data_directory: data}}\n", "not an absolute path"},
		"relative work dir":      {head + "clusters: {main: {}}\nscheduler: {work_directory: x}\n", "scheduler.work_directory"},
		"no full backup to keep": {head + "clusters: {main: {retention: {minimum_full: -1}}}\n", "minimum_full must be 1 or more"},
		"map for a value":        {head + "clusters: {main: {targets: {rpo: {a: b}}}}\n", "a single value is expected here"},
		"both kinds of key":      {head + "repositories: [{name: a, url: 'file:///a'}]\nclusters: {main: {}}\n", "f.yaml:1:19: both 'repository' and 'repositories'"},
		"no name in the list":    {"repositories: [{url: 'file:///a'}]\nclusters: {main: {}}\n", "f.yaml:1:22: repositories: entry 1 has no name"},
		"empty entry":            {"repositories: [~]\nclusters: {main: {}}\n", "entry 1 is empty"},
		"two of one name":        {"repositories: [{name: a, url: 'file:///a'}, {name: a, url: 'file:///b'}]\nclusters: {main: {}}\n", `two entries have the name "a"`},
		"two of one place":       {"repositories: [{name: a, url: 'file:///a'}, {name: b, url: 'file:///a/'}]\nclusters: {main: {}}\n", `two entries have the url "file:///a/"`},
		"bad repository name":    {"repositories: [{name: A b, url: 'file:///a'}]\nclusters: {main: {}}\n", `"A b" is not a name`},
		"name without a list":    {"repository: {name: a, url: 'file:///a'}\nclusters: {main: {}}\n", "f.yaml:1:20: repository.name"},
		"unknown repository":     {two + "clusters: {main: {repositories: [far]}}\n", `f.yaml:2:34: clusters.main.repositories: no entry of 'repositories' is called "far"`},
		"repository twice":       {two + "clusters: {main: {repositories: [a, a]}}\n", `"a" is there twice`},
		"too many copies":        {two + "clusters: {main: {wal: {copies: 3}}}\n", "wal.copies: 3 is not between 1 and 2"},
		"more copies than used":  {two + "clusters: {main: {repositories: [b], wal: {copies: 2}}}\n", "wal.copies: 2 is not between 1 and 1"},
		"list for a map":         {head + "clusters: [main]\n", "f.yaml:2:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("f.yaml", []byte(tc.text))
			var located *Error
			if !errors.As(err, &located) {
				t.Fatalf("no *Error but %v", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("says %q, not %q", err, tc.want)
			}
			if strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("more than one sentence: %q", err)
			}
		})
	}
}

func TestAFileThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lifeboat.yaml")
	if err := os.WriteFile(path, []byte(documented), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Fatalf("0600: %v", err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%04o: %v", mode, err)
		}
	}
}

func TestAMissingFileSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if err == nil || !strings.Contains(err.Error(), "lifeboat init") {
		t.Errorf("says %v", err)
	}
}

func TestSeveralClustersNeedAChoice(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", []byte("repository: {url: 'file:///r'}\nclusters: {a: {}, b: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Cluster(""); err == nil || !strings.Contains(err.Error(), "(a, b)") {
		t.Errorf("none chosen: %v", err)
	}
	if _, _, err := c.Cluster("c"); err == nil {
		t.Error("an unknown cluster was found")
	}
}

func TestAClusterChoosesItsRepositories(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", []byte("repositories: [{name: a, url: 'file:///a'}, {name: b, url: 'file:///b'}, {name: c, url: 'file:///c'}]\n"+
		"clusters: {all: {wal: {copies: 2}}, some: {repositories: [c, a]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for cluster, want := range map[string]string{"all": "abc", "some": "ca"} {
		names := ""
		for _, one := range c.Of(cluster) {
			names += one.Repository.Name.Value
		}
		if names != want {
			t.Errorf("%s: %s, not %s", cluster, names, want)
		}
	}
	if c.Repository.URL.Value != "file:///a" || c.Clusters["some"].WAL.Copies != 1 {
		t.Errorf("nearest %q, copies %d", c.Repository.URL.Value, c.Clusters["some"].WAL.Copies)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(documented))
	f.Add([]byte("clusters: {main: {targets: {rows: 1%}}}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := Parse("f", raw)
		if (c == nil) == (err == nil) {
			t.Errorf("neither or both: %v, %v", c, err)
		}
	})
}
