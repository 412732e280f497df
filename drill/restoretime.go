package drill

import (
	"fmt"
	"time"

	"lifeboat/restore"
)

const (
	terabyte    = 1e12    // bytes: the size that the restore target speaks of
	segmentSize = 1 << 30 // bytes of a relation's files (RELSEG_SIZE), of which a large cluster has more
	smallSample = 1 << 30 // bytes below which caches may make a copy faster than a large one could be
)

// copied is what the fetch has measured.
type copied struct {
	took   time.Duration // copying, from the first byte to the last
	bytes  int64
	files  int64
	effort restore.Effort
}

// rate is the speed, in bytes a second, at which contents were copied, what each file cost beside left out.
func (c copied) rate() float64 {
	return float64(c.bytes) / max(c.took.Seconds()*c.share(), 1e-3)
}

// share is the part of the time that went into contents.
func (c copied) share() float64 {
	all := c.effort.Files + c.effort.Contents
	if all <= 0 {
		return 1
	}
	return float64(c.effort.Contents) / float64(all)
}

// perFile is the time that each file took beside its contents.
func (c copied) perFile() time.Duration {
	return time.Duration(c.took.Seconds() * (1 - c.share()) / float64(max(1, c.files)) * float64(time.Second))
}

// extrapolate is how long it would take to copy so many bytes. A larger cluster has as many small files and its relations
// in more files of 1 GiB, so the contents grow with the bytes, and the files hardly.
func (c copied) extrapolate(bytes float64) time.Duration {
	more := max(0, bytes-float64(c.bytes))
	files := float64(c.files) + more/segmentSize
	contents := time.Duration(bytes / c.rate() * float64(time.Second))
	return contents + time.Duration(files*float64(c.perFile()))
}

// judgeRestoreTime extrapolates from the measured copy to 1 TB, and to the cluster's size where that is larger than what
// was copied. What plan, start and replay took is added once.
func (d *drill) judgeRestoreTime() {
	c := d.clock.copied
	fixed := max(0, d.clock.atReach-c.took)
	predicted := fixed + c.extrapolate(terabyte)
	r := &RestoreTime{
		Seconds: d.clock.atReach.Seconds(), Phases: d.clock.toReach, Bytes: c.bytes, TerabyteSeconds: predicted.Seconds(),
		ClusterBytes: max(c.bytes, d.archive.newest.ClusterBytes), ClusterSeconds: d.clock.atReach.Seconds(), Basis: c.basis(fixed),
	}
	detail := "1 TB would take " + spell(predicted)
	if r.ClusterBytes > c.bytes {
		whole := fixed + c.extrapolate(float64(r.ClusterBytes))
		r.ClusterSeconds = whole.Seconds()
		detail += fmt.Sprintf(", the cluster as it is now, %s, %s", size(r.ClusterBytes), spell(whole))
	}
	d.result.RestoreTime, d.result.RTOSeconds, d.result.RestoreBasis = r, r.Seconds, r.Basis
	m := d.against(TargetTime, d.Targets.RestorePerTerabyte, predicted)
	d.setTarget(m)
	d.checks.set(CheckTime, m.Result, "%s: %s", detail, r.Basis)
}

// basis is what an extrapolation rests on, in words; fixed is what does not grow with the bytes.
func (c copied) basis(fixed time.Duration) string {
	words := fmt.Sprintf("%s in %s files copied in %s: contents at %s/s and %s for each file beside; all else took %s and is added once",
		size(c.bytes), count(c.files), spell(c.took), size(int64(c.rate())), spellShort(c.perFile()), spell(fixed))
	if c.bytes < smallSample {
		words += "; so small a sample fits in memory, and the disks may be slower"
	}
	return words
}

// spellShort writes a length of time that may be far below a millisecond.
func spellShort(t time.Duration) string {
	if t < 10*time.Millisecond {
		return fmt.Sprintf("%.2g ms", float64(t)/float64(time.Millisecond))
	}
	return spell(t)
}
