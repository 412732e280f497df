package drill

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"lifeboat/storage/catalog"
	"lifeboat/verify"
)

// verifyRepository reads every object. It comes after the measurements, and its cost is no part of them.
func (d *drill) verifyRepository(ctx context.Context) error {
	defer d.clock.time(PhaseVerify)()
	report, err := d.verifyOne(ctx, d.Repository)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(d.Others)) {
		if err := d.verifyOther(ctx, name, &report); err != nil {
			return err
		}
	}
	d.judgeRepository(report)
	return nil
}

func (d *drill) verifyOne(ctx context.Context, repository *catalog.Repository) (verify.Report, error) {
	report, err := verify.Repository(ctx, repository, verify.Options{
		Progress: func(p catalog.ScrubProgress) { d.Progress(PhaseVerify+" repository", p.Bytes, p.BytesTotal) },
	})
	d.clock.addBytes(PhaseVerify, report.Bytes)
	return report, err
}

// verifyOther adds what there is to say about another copy. One that cannot be read is not proven, and no reason to doubt
// what else the drill has shown.
func (d *drill) verifyOther(ctx context.Context, name string, sum *verify.Report) error {
	other := d.Others[name]
	var report verify.Report
	err := other.Err
	if err == nil {
		report, err = d.verifyOne(ctx, other.Repository)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		report.Findings = []verify.Finding{{Severity: verify.Unproven, Object: "all objects", Detail: err.Error()}}
	}
	for _, f := range report.Findings {
		f.Object = "repository " + name + ", " + f.Object
		sum.Findings = append(sum.Findings, f)
	}
	sum.Objects += report.Objects
	sum.Bytes += report.Bytes
	return nil
}

// judgeRepository makes one check of all that verification has found.
func (d *drill) judgeRepository(report verify.Report) {
	var failed, unproven, warned []verify.Finding
	for _, f := range report.Findings {
		switch f.Severity {
		case verify.Fail:
			failed = append(failed, f)
			d.result.Damaged = append(d.result.Damaged, f.Object)
		case verify.Unproven:
			unproven = append(unproven, f)
		case verify.Warn:
			warned = append(warned, f)
		case verify.OK:
		}
	}
	switch gap := d.archive.gap; {
	case len(failed) > 0:
		d.checks.set(CheckRepository, Fail, "%s", summarise(failed))
	case gap != nil:
		d.checks.set(CheckRepository, Fail, "WAL of timeline %d is missing from %s to %s, and no backup has been made since: nothing behind it can be recovered (make a base backup now)",
			gap.Timeline, gap.From, gap.To)
	case len(unproven) > 0:
		d.checks.set(CheckRepository, Unproven, "%s", summarise(unproven))
	default:
		detail := fmt.Sprintf("%d objects, %s read and found whole", report.Objects, size(report.Bytes))
		if len(warned) > 0 {
			detail += "; to know: " + summarise(warned)
		}
		d.checks.set(CheckRepository, Pass, "%s", detail)
	}
}

// summarise tells the first of some findings and counts the others.
func summarise(findings []verify.Finding) string {
	text := findings[0].Object + ": " + findings[0].Detail
	if n := len(findings) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more: see lifeboat verify)", n)
	}
	return text
}
