package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"lifeboat/cmd/internal/cage"
	"lifeboat/cmd/internal/config"
	"lifeboat/drill"
)

// drillSupervision is what the scheduler tells a drill that it runs.
type drillSupervision struct {
	id         string // of the drill; empty: a new one
	supervised bool
}

func (s *drillSupervision) add(flags *pflag.FlagSet) {
	flags.StringVar(&s.id, "id", "", "run the drill under this `ID`")
	flags.BoolVar(&s.supervised, "supervised", false, "take a low priority, wait for a line on standard input, and stop when that ends")
	for _, name := range []string{"id", "supervised"} {
		flags.Lookup(name).Hidden = true
	}
}

// errAlone says that the scheduler is gone.
var errAlone = errors.New("the scheduler that started this drill is gone")

// underSupervision is supervised where the scheduler has started this process.
func (a *app) underSupervision(ctx context.Context, s drillSupervision) (context.Context, error) {
	if !s.supervised {
		return ctx, nil
	}
	settings, err := a.settings()
	if err != nil {
		return ctx, err
	}
	return a.supervised(ctx, &settings.Scheduler, os.Stdin)
}

// supervised makes this process one that the scheduler holds: with a low priority, at work from its word on, and ended when it is
// gone, however that came.
func (a *app) supervised(ctx context.Context, s *config.Scheduler, word io.Reader) (context.Context, error) {
	if err := cage.Lower(int(s.Nice), ioClass(s.IOPriority)); err != nil {
		a.log.Warn("the drill has the priority of everything else", keyError, err)
	}
	signal.Ignore(syscall.SIGPIPE) // with the scheduler, the reader of standard error is gone
	lines := bufio.NewReader(word)
	if _, err := lines.ReadString('\n'); err != nil {
		return ctx, fmt.Errorf("wait for the scheduler: %w", errAlone)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		_, _ = lines.ReadString('\n') // it says nothing more
		a.log.Error("the drill stops", keyError, errAlone)
		cancel(errAlone)
	}()
	return ctx, nil
}

func ioClass(p config.IOPriority) cage.IOClass {
	switch p {
	case config.IOBestEffort:
		return cage.IOLast
	case config.IOIdle:
		return cage.IOIdle
	case config.IONormal:
	}
	return cage.IOUnchanged
}

// holdDrill gives a drill the limits of the configuration.
func holdDrill(o *drill.Options, settings *config.Scheduler, configured *config.Drill, id string) {
	o.ID, o.Deadline, o.DiskLimit = id, time.Duration(configured.Deadline), int64(settings.DiskLimit)
}
