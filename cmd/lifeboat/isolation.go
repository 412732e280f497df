package main

import (
	"context"
	"os"
	"path/filepath"

	"lifeboat/cmd/internal/config"
	"lifeboat/drill"
)

// isolate says how the scratch server is kept apart. Kept apart, it gets WAL through a socket and nothing else; otherwise it is
// lent what its restore_command needs, which all takes back when the drill is over.
func (a *app) isolate(s *scene, o *drill.Options, all *loans) {
	if s.settings.Scheduler.Isolation == config.BestEffort {
		o.Isolation = drill.BestEffort
	}
	o.Receiver = receiverPath()
	o.Lend = func(ctx context.Context) ([]byte, error) {
		lent, err := a.lendHook(ctx, s, o)
		*all = lent
		return o.HookConfig, err
	}
}

// receiverPath is the hook's own file, without links, or empty where there is none.
func receiverPath() string {
	path, err := filepath.EvalSymlinks(hookPath())
	if err != nil {
		return ""
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return path
}
