package main

import (
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"lifeboat/internal/wal"
	"lifeboat/restore"
)

// targetFlags are the flags that name a recovery target.
type targetFlags struct {
	time, lsn, name, xid, timeline string
	immediate, latest, exclusive   bool
}

func (f *targetFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.time, "to-time", "", "recover to this `TIME`: RFC 3339, '2024-01-15 14:46:00+00', or '1h ago'")
	flags.StringVar(&f.lsn, "to-lsn", "", "recover to this `LSN`")
	flags.StringVar(&f.name, "to-name", "", "recover to the restore point of this `NAME`")
	flags.StringVar(&f.xid, "to-xid", "", "recover to the end of this transaction, by its `ID`")
	flags.BoolVar(&f.immediate, "to-immediate", false, "recover to the end of the backup, the first consistent moment")
	flags.BoolVar(&f.latest, "to-latest", false, "recover to the end of the archived WAL (the default)")
	flags.BoolVar(&f.exclusive, "exclusive", false, "stop just before the target instead of just after it")
	flags.StringVar(&f.timeline, "timeline", "", "`TIMELINE` to follow: a number, or latest (the default)")
}

// given says whether a target was named.
func (f *targetFlags) given() bool {
	return f.time != "" || f.lsn != "" || f.name != "" || f.xid != "" || f.immediate || f.latest
}

// timelineGiven says whether a timeline was named.
func (f *targetFlags) timelineGiven() bool { return f.timeline != "" }

// parse turns the flags into one target, the latest moment where there is none.
func (f *targetFlags) parse(now time.Time) (restore.Target, wal.TimelineID, error) {
	timeline, err := f.parseTimeline()
	if err != nil {
		return restore.Target{}, 0, err
	}
	target := restore.Target{Kind: restore.KindLatest, Exclusive: f.exclusive}
	named := 0
	for _, flag := range []struct {
		given bool
		set   func() error
	}{
		{f.time != "", func() (err error) {
			target.Kind = restore.KindTime
			target.Time, err = restore.ParseTime(f.time, now)
			return err
		}},
		{f.lsn != "", func() (err error) {
			target.Kind = restore.KindLSN
			target.LSN, err = wal.ParseLSN(f.lsn)
			return err
		}},
		{f.name != "", func() error { target.Kind, target.Name = restore.KindName, f.name; return nil }},
		{f.xid != "", func() (err error) {
			target.Kind = restore.KindXID
			target.XID, err = strconv.ParseUint(f.xid, 10, 64)
			return err
		}},
		{f.immediate, func() error { target.Kind = restore.KindImmediate; return nil }},
		{f.latest, func() error { target.Kind = restore.KindLatest; return nil }},
	} {
		if !flag.given {
			continue
		}
		named++
		if err := flag.set(); err != nil {
			return target, 0, usagef("recovery target: %v", err)
		}
	}
	if named > 1 {
		return target, 0, usagef("choose one recovery target: %d --to- flags are given", named)
	}
	if err := target.Validate(); err != nil {
		return target, 0, usagef("recovery target: %v", err)
	}
	return target, timeline, nil
}

func (f *targetFlags) parseTimeline() (wal.TimelineID, error) {
	if f.timeline == "" || f.timeline == "latest" {
		return 0, nil
	}
	number, err := strconv.ParseUint(f.timeline, 10, 32)
	if err != nil || number == 0 {
		return 0, usagef("--timeline is a number from 1 on, or latest, not %q", f.timeline)
	}
	return wal.TimelineID(number), nil
}
