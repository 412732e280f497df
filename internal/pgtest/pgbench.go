package pgtest

import (
	"context"
	"strconv"
)

// Pgbench fills the database postgres with pgbench's tables at the given scale and, unless seconds is 0,
// runs its load with that many clients. It uses the client programs of [Debian], against any version.
func (c *Cluster) Pgbench(ctx context.Context, scale, clients, seconds int) {
	c.t.Helper()
	c.pgbench(ctx, "-i", "-q", "-s", strconv.Itoa(scale))
	if seconds > 0 {
		c.PgbenchRun(ctx, clients, seconds)
	}
}

// PgbenchRun runs pgbench's load on tables that [Cluster.Pgbench] has made.
func (c *Cluster) PgbenchRun(ctx context.Context, clients, seconds int) {
	c.t.Helper()
	c.pgbench(ctx, "-n", "-c", strconv.Itoa(clients), "-T", strconv.Itoa(seconds))
}

func (c *Cluster) pgbench(ctx context.Context, args ...string) {
	c.t.Helper()
	args = append([]string{"-h", c.SocketDir, "-p", strconv.Itoa(port), "-U", "postgres"}, append(args, "postgres")...)
	if err := run(Command(ctx, Debian(c.t), "pgbench", args...)); err != nil {
		c.t.Fatal(err)
	}
}
