package drill

import (
	"context"
	"fmt"

	"lifeboat/storage/catalog"
	"lifeboat/verify"
)

// verifyRepository reads every object. It comes after the measurements, and its cost is no part of them.
func (d *drill) verifyRepository(ctx context.Context) error {
	defer d.clock.time(PhaseVerify)()
	report, err := verify.Repository(ctx, d.Repository, verify.Options{
		Progress: func(p catalog.ScrubProgress) { d.Progress(PhaseVerify+" repository", p.Bytes, p.BytesTotal) },
	})
	if err != nil {
		return err
	}
	d.clock.addBytes(PhaseVerify, report.Bytes)
	d.judgeRepository(report)
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
