package drill

import (
	"context"
	"syscall"

	"lifeboat/restore/server"
)

// serve starts a server on a data directory below the scratch directory. Every server of a drill is started here.
func (d *drill) serve(ctx context.Context, data string, settings [][2]string, session map[string]string) (*server.Server, error) {
	return server.Start(ctx, server.Options{
		BinDir: d.bin, DataDir: data, SocketDir: d.scratch.sockets, User: d.plan.Record().Superuser, Settings: settings,
		LogFile: d.scratch.path("server.log"), Credential: d.credential(), Env: []string{nonceName + "=" + d.result.ID},
		Session: session, Pdeathsig: syscall.SIGQUIT, Cage: d.cage(),
	})
}
