// Command lifeboat keeps PostgreSQL recoverable and proves it: it archives WAL, takes base backups, restores to any
// moment, and drills all of that on scratch instances with a verdict.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lifeboat/drill/sandbox"
)

func main() {
	sandbox.Enter()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	a := &app{stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
