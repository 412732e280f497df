package restore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

// WishKind says what a target is chosen by.
type WishKind string

// The kinds of wishes.
const (
	WishTarget       WishKind = ""                // the wish's target itself
	WishRandom       WishKind = "random"          // any moment that can be reached, each as likely as the others
	WishRestorePoint WishKind = "restore point"   // the newest one that an operator has made
	WishBeforeDDL    WishKind = "before last ddl" // the newest change of the schema, not included
)

// Wish is a target in words: an exact one, or one that only the repository's contents can make exact.
type Wish struct {
	Words  string // as they were written
	Kind   WishKind
	Target Target // of WishTarget
}

// ParseWish reads "latest", a time as [ParseTime] does, "random", "restore point" or "before last ddl". Case and further
// spaces do not matter.
func ParseWish(text string, now time.Time) (Wish, error) {
	words := strings.Join(strings.Fields(text), " ")
	switch kind := WishKind(strings.ToLower(words)); kind {
	case WishRandom, WishRestorePoint, WishBeforeDDL:
		return Wish{Words: words, Kind: kind}, nil
	case WishKind(KindLatest):
		return Wish{Words: words, Target: Target{Kind: KindLatest}}, nil
	case "":
		return Wish{}, fmt.Errorf("no target is named: %s", wishWords)
	}
	if !strings.ContainsAny(words, "0123456789") {
		return Wish{}, fmt.Errorf("%q is no target: %s", words, wishWords)
	}
	at, err := ParseTime(words, now)
	return Wish{Words: words, Target: Target{Kind: KindTime, Time: at}}, err
}

const wishWords = "write latest, random, restore point, before last ddl, a time such as 2024-01-15 14:46:00+00, or 1h ago"

// WishOptions are what a wish is fulfilled with besides the repository. Timeline and Backup are those of the plan that
// follows.
type WishOptions struct {
	Timeline wal.TimelineID
	Backup   string
	Now      time.Time
	Random   func(below uint64) uint64 // nil: by chance
}

// Chosen is the exact target that a wish became, and why that one; empty where the wish named it.
type Chosen struct {
	Target Target
	Why    string
}

// Choose makes a wish exact. The errors are those of [MakePlan]: an *UnreachableError where there is nothing of the kind.
func Choose(ctx context.Context, c *catalog.Cluster, w Wish, o WishOptions) (Chosen, error) {
	if w.Kind == WishTarget {
		return Chosen{Target: w.Target}, nil
	}
	p, candidates, err := wisher(ctx, c, w, o)
	if err != nil {
		return Chosen{}, err
	}
	chosen, err := p.fulfil(ctx, w, o, candidates)
	if err != nil {
		return Chosen{}, fmt.Errorf("choose a recovery target: %w", err)
	}
	return chosen, nil
}

// wisher is a planner whose target is the wish's words.
func wisher(ctx context.Context, c *catalog.Cluster, w Wish, o WishOptions) (*planner, []candidate, error) {
	inv, err := c.Inventory(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("choose a recovery target: %w", err)
	}
	p := &planner{
		cluster: c, inv: inv, target: Target{Kind: Kind(w.Kind)},
		options: PlanOptions{Timeline: o.Timeline, Backup: o.Backup, Now: o.Now},
	}
	if err := p.chooseTimeline(); err != nil {
		return nil, nil, err
	}
	candidates, err := p.candidates()
	return p, candidates, err
}

func (p *planner) fulfil(ctx context.Context, w Wish, o WishOptions, candidates []candidate) (Chosen, error) {
	switch w.Kind {
	case WishRandom:
		if o.Random == nil {
			o.Random = rand.Uint64N
		}
		return p.randomMoment(candidates, o.Random)
	case WishRestorePoint:
		return p.newestRestorePoint(ctx, candidates)
	case WishBeforeDDL:
		return p.beforeDDL(ctx, candidates)
	case WishTarget:
	}
	return Chosen{}, optionErrorf("the wish %q is unknown", w.Kind)
}
