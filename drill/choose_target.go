package drill

import (
	"context"
	"errors"

	"lifeboat/restore"
)

// chooseTarget makes the wish that the drill was given an exact target, and notes it with what was asked and why.
func (d *drill) chooseTarget(ctx context.Context) error {
	if d.Wish.Words == "" {
		return nil
	}
	chosen, err := restore.Choose(ctx, d.Cluster, d.Wish, restore.WishOptions{Timeline: d.Timeline, Backup: d.Backup, Now: d.Now()})
	if unreachable := (*restore.UnreachableError)(nil); errors.As(err, &unreachable) {
		d.unreachable = err
	}
	if err != nil {
		return err
	}
	d.Target = chosen.Target
	t := &d.result.Target
	t.Kind, t.Value, t.Why = string(d.Target.Kind), d.Target.Value(), chosen.Why
	return nil
}

// asked is what the drill was to recover to, in the words of whoever asked for it.
func (o *Options) asked() string {
	if o.Wish.Words != "" {
		return o.Wish.Words
	}
	return o.Target.String()
}

// checkTarget looks at the target where it is exact already. A wish takes its place.
func (o *Options) checkTarget() error {
	if o.Wish.Words == "" {
		return o.Target.Validate()
	}
	o.Target = o.Wish.Target
	if o.Wish.Kind != restore.WishTarget {
		return nil
	}
	return o.Target.Validate()
}
