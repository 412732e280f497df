package drill

import "context"

// settleDead looks after those who died before. A drill does not fail for what others left.
func (d *drill) settleDead(ctx context.Context) {
	settled, err := Finder{
		Repository: d.Repository, Cluster: d.Cluster, WorkDirectory: d.WorkDirectory, Log: d.Log, Now: d.Now, ToolVersion: d.ToolVersion,
	}.Settle(ctx)
	if err != nil {
		d.Log.Warn("leavings of dead drills stay", keyError, err)
	}
	for _, r := range settled {
		d.Log.Warn("a drill has died, and its evidence was stored", keyDrill, r.ID)
	}
}

// inPhase notes for others what the drill does.
func (d *drill) inPhase(phase string) {
	if err := d.book.enter(phase); err != nil {
		d.Log.Warn("what the drill does is not noted", keyError, err)
	}
}

// letGo removes the lock when the evidence is stored. Without evidence it stays, and whoever finds it tries again.
func (d *drill) letGo() {
	d.book.close()
	if d.scratch == nil {
		return
	}
	release := d.scratch.release
	if d.result.Evidence == "" {
		release = func() error { return releaseLock(d.scratch.lock) }
	}
	if err := release(); err != nil {
		d.Log.Warn("the drill's lock stays", keyError, err)
	}
}
