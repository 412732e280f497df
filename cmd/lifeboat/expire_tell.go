package main

import (
	"fmt"
	"time"

	"lifeboat/cmd/internal/term"
	"lifeboat/storage/catalog"
)

// expiry is what 'expire' says in JSON.
type expiry struct {
	Cluster      string        `json:"cluster"`
	DryRun       bool          `json:"dry_run"`
	Repositories []expiryOfOne `json:"repositories"`
}

type expiryOfOne struct {
	Repository string     `json:"repository,omitempty"` // of several
	Location   string     `json:"location"`
	Since      *time.Time `json:"keeps_moments_since,omitempty"`
	Stopped    []string   `json:"stopped"` // why nothing expires
	Fates      []fate     `json:"fates"`
	Objects    int        `json:"deleted_objects"`
	Bytes      int64      `json:"deleted_bytes"`
	Refused    *refusal   `json:"refused,omitempty"`
	Error      string     `json:"error,omitempty"`
}

// fate is that of some objects, which is the same for all of them.
type fate struct {
	Class   string   `json:"class"`
	Name    string   `json:"name"`
	Expires bool     `json:"expires"`
	Reason  string   `json:"reason"`
	Objects int      `json:"objects"`
	Bytes   int64    `json:"bytes"`
	Keys    []string `json:"keys"`
}

// refusal is about objects that expire and must not be deleted.
type refusal struct {
	Objects int    `json:"objects"`
	Key     string `json:"key"` // of the first one
	Why     string `json:"why"`
}

func summariseExpiry(cluster string, list []expired, dryRun bool) expiry {
	sum := expiry{Cluster: cluster, DryRun: dryRun, Repositories: []expiryOfOne{}}
	for _, one := range list {
		sum.Repositories = append(sum.Repositories, one.summarise())
	}
	return sum
}

func (x expired) summarise() expiryOfOne {
	one := expiryOfOne{Repository: x.name, Location: x.location, Stopped: append([]string{}, x.plan.Stopped...), Fates: []fate{},
		Objects: x.report.Objects, Bytes: x.report.Bytes, Refused: x.refusal()}
	if !x.plan.Cutoff.IsZero() {
		since := x.plan.Cutoff.UTC()
		one.Since = &since
	}
	for _, f := range x.plan.Fates {
		one.Fates = append(one.Fates, fate{Class: f.Class, Name: f.Name, Expires: f.Expires, Reason: f.Reason, Objects: f.Objects, Bytes: f.Bytes, Keys: f.Keys()})
	}
	if x.err != nil {
		one.Error = x.err.Error()
	}
	return one
}

func (x expired) refusal() *refusal {
	if x.report.Refused == 0 {
		return nil
	}
	return &refusal{Objects: x.report.Refused, Key: x.report.RefusedKey, Why: x.report.RefusedErr.Error()}
}

// tellExpiry shows the fate of each backup and stretch of WAL, and of the rest by what is the same.
func (a *app) tellExpiry(x expired, dryRun bool) {
	if x.name != "" {
		a.out.Printf("repository %s\n", x.name)
	}
	if len(x.plan.Stopped) > 0 || x.plan.Cutoff.IsZero() {
		a.out.Printf("nothing was deleted\n")
		return // the error says why
	}
	a.out.Printf("moments since %s stay recoverable\n\n", stamp(x.plan.Cutoff))
	rows := make([][]string, 0, len(x.plan.Fates))
	for _, f := range joinFates(x.plan.Fates) {
		word := "stays"
		if f.Expires {
			word = "expires"
		}
		rows = append(rows, []string{word, f.Class, f.Name, term.Count(int64(f.Objects)), term.Bytes(f.Bytes), f.Reason})
	}
	a.out.Table([]term.Column{{Title: "fate"}, {Title: "what"}, {Title: "which"}, {Title: "objects", Right: true}, {Title: "size", Right: true}, {Title: "why"}}, rows)
	a.tellDeleted(x, dryRun)
}

func (a *app) tellDeleted(x expired, dryRun bool) {
	switch {
	case dryRun:
		all := catalog.Amount{}
		for _, f := range x.plan.Expiring() {
			all.Objects, all.Bytes = all.Objects+f.Objects, all.Bytes+f.Bytes
		}
		a.out.Printf("\n%s objects, %s, would be deleted; nothing was (--dry-run)\n", term.Count(int64(all.Objects)), term.Bytes(all.Bytes))
	default:
		a.out.Printf("\ndeleted %s objects, %s\n", term.Count(int64(x.report.Objects)), term.Bytes(x.report.Bytes))
	}
	if r := x.refusal(); r != nil {
		a.out.Printf("%s %s objects must not be deleted, and stay with what they need, such as %s: %s\n",
			a.out.Paint(term.Doubt, "refused:"), term.Count(int64(r.Objects)), r.Key, r.Why)
	}
}

// joinFates makes one of all that are alike, in the order of the first ones. Backups and WAL stand for themselves.
func joinFates(fates []catalog.Fate) []catalog.Fate {
	type kind struct {
		class, reason string
		expires       bool
	}
	var joined []catalog.Fate
	at, count := map[kind]int{}, map[kind]int{}
	for _, f := range fates {
		k := kind{class: f.Class, reason: f.Reason, expires: f.Expires}
		i, known := at[k]
		if !known || f.Class == catalog.FateBackup || f.Class == catalog.FateWAL {
			at[k], count[k] = len(joined), 1
			joined = append(joined, f)
			continue
		}
		count[k]++
		joined[i].Name = fmt.Sprintf("%d of them", count[k])
		joined[i].Objects += f.Objects
		joined[i].Bytes += f.Bytes
	}
	return joined
}
