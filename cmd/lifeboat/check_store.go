package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage"
)

// storeClockTolerance is how far the store's clock may be from this machine's: requests are signed with the time, and S3
// refuses them from a quarter of an hour on.
const storeClockTolerance = time.Minute

// checkStore tries what Lifeboat asks of a store. It says whether the repository can be looked into.
func (k *checker) checkStore(ctx context.Context) bool {
	p := newProbe(k.scene.bucket, probeName(k.scene), k.app.now)
	usable, worked := true, []string{}
	for _, v := range verbs() {
		err := v.try(p, ctx)
		if err == nil {
			worked = append(worked, v.name)
			continue
		}
		if v.optional {
			k.add("store: "+v.name, "warn", "archiving and backups go on without; expiry needs the right, perhaps with another credential", "%v", reason(err))
			continue
		}
		usable = usable && v.name != "list" && v.name != "get"
		k.add("store: "+v.name, resultOf(err), mendStore(err), "%v", reason(err))
		if storage.Transient(err) || v.name == "list" && wrongPlace(err) {
			return false // every other verb would end in the same way
		}
	}
	if len(worked) == len(verbs()) {
		k.add("store", "pass", "", "%s can %s", k.scene.bucket.Location(), strings.Join(worked, ", "))
	}
	k.checkStoreClock(p)
	k.checkEmulation()
	return usable
}

// probeName is one for each machine and cluster, so that checks at the same moment do not meet.
func probeName(s *scene) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	sum := fnv.New64a()
	_, _ = fmt.Fprintf(sum, "%s %s %s", host, s.settings.Path, s.name) // a hash takes everything
	return fmt.Sprintf("%016x", sum.Sum64())
}

// resultOf tells what was answered from what could not be found out.
func resultOf(err error) string {
	if storage.Transient(err) {
		return "unproven"
	}
	return "fail"
}

// wrongPlace says whether an error is about the store as a whole, and not about a permission.
func wrongPlace(err error) bool { return !errors.Is(err, os.ErrPermission) }

// reason is the sentence about the store without what every line of a check would repeat.
func reason(err error) error {
	var at *storage.Error
	if errors.As(err, &at) && at.Err != nil {
		return at.Err
	}
	return err
}

func mendStore(err error) string {
	if errors.Is(err, storage.ErrUnconditional) {
		return unconditionalHint
	}
	if hint := storage.Hint(err); hint != "" {
		return hint
	}
	return "correct the repository's settings, or ask who runs the store"
}

func (k *checker) checkStoreClock(p *probe) {
	if k.scene.settings.Repository.Place().Scheme == config.SchemeFile || p.ahead == 0 {
		return
	}
	result := "pass"
	if p.ahead.Abs() > storeClockTolerance {
		result = "warn"
	}
	k.add("store: clock", result, "set this machine's clock by NTP", "the store's and this one are %s apart", p.ahead.Abs().Round(time.Second))
}

// checkEmulation reminds of what was given away.
func (k *checker) checkEmulation() {
	r := &k.scene.settings.Repository
	if r.S3.ConditionalCreate == config.Emulated || r.GCS.ConditionalCreate == config.Emulated {
		k.add("store: conditional create", "warn", "a store that does (most do by now), and conditional_create: required",
			"it is emulated: two primaries that archive the same segment in the same moment may overwrite one another")
	}
}
