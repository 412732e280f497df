package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"lifeboat/internal/hookwire"
)

// allows says who may ask besides root and the agent's own user: the owners of the data directories.
func (g *agent) allows(uid uint32) bool {
	for _, t := range g.tendedNow() {
		if directory := t.directory(); directory != "" {
			if owner, err := ownerOf(directory); err == nil && uint32(owner.UID) == uid {
				return true
			}
		}
	}
	return false
}

func declined(format string, args ...any) hookwire.Answer {
	return hookwire.Answer{Outcome: hookwire.Declined, Detail: fmt.Sprintf(format, args...)}
}

// answer does what a hook asks for. What is not this agent's affair, or not yet, is declined, so that the hook does the
// work itself.
func (g *agent) answer(_ context.Context, request hookwire.Request) hookwire.Answer {
	if !g.isMine(request.Config) {
		return declined("this agent has the configuration %s", g.settings.Path)
	}
	switch request.Op {
	case hookwire.Ping:
		return hookwire.Answer{Outcome: hookwire.Done, Detail: version()}
	case hookwire.Push:
		t := g.named(request.Cluster)
		if t == nil {
			return declined("this agent does not look after cluster %q", request.Cluster)
		}
		// A push goes on when the hook has gone away, for the one that asks next.
		return t.answer(g.work, request.Path)
	}
	return declined("this agent does not %s", request.Op)
}

// isMine compares configurations by their path, or by the file where there are several paths to it.
func (g *agent) isMine(path string) bool {
	g.mu.Lock()
	own := g.config
	g.mu.Unlock()
	return path == own || sameFile(path, own)
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// named is the cluster of this name, or the only one of the configuration where the name is empty.
func (g *agent) named(name string) *tended {
	all := g.tendedNow()
	if t := all[name]; t != nil || name != "" {
		return t
	}
	for _, t := range all {
		if len(t.settings.Clusters) == 1 {
			return t
		}
	}
	return nil
}

// answer archives one file of the cluster's pg_wal.
func (t *tended) answer(ctx context.Context, path string) hookwire.Answer {
	shop := t.shop.Load()
	if shop == nil || t.retired.Err() != nil {
		return declined("the agent is not ready for cluster %s", t.name)
	}
	own := filepath.Join(shop.directory, "pg_wal")
	if !sameFile(filepath.Dir(path), own) {
		return declined("%s does not lie in the data directory of cluster %s", path, t.name)
	}
	err := shop.shipper.Push(ctx, filepath.Join(own, filepath.Base(path)))
	switch {
	case err == nil:
		return hookwire.Answer{Outcome: hookwire.Done}
	case t.retired.Err() != nil:
		return declined("the agent is stopping")
	}
	return hookwire.Answer{Outcome: hookwire.Failed, Detail: withHint(err)}
}

// withHint is what the hook says, in the server's log.
func withHint(err error) string {
	if hint := hintOf(err); hint != "" {
		return err.Error() + "\nhint: " + hint
	}
	return err.Error()
}
