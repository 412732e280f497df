package drill

import (
	"fmt"
	"time"
)

// terabyte is 10^12 bytes: the size that the restore target speaks of.
const terabyte = 1e12

// judgeRestoreTime extrapolates from the measured copy to 1 TB. Only the copying of contents grows with the cluster; plan,
// start and replay are added once.
func (d *drill) judgeRestoreTime() {
	d.result.RTOSeconds = d.clock.atReach.Seconds()
	bytes := d.clock.bytes[PhaseFetch]
	rate := float64(bytes) / max(d.clock.copied.Seconds(), 1e-3)
	fixed := max(0, d.clock.atReach-d.clock.copied)
	predicted := fixed + time.Duration(terabyte/max(rate, 1)*float64(time.Second))
	d.result.RestoreBasis = fmt.Sprintf("copied %s in %s, %.0f MB/s; plan, start and replay took %s", size(bytes), spell(d.clock.copied), rate/1e6, spell(fixed))
	m := d.against(TargetTime, d.Targets.RestorePerTerabyte, predicted)
	d.setTarget(m)
	d.checks.set(CheckTime, m.Result, "1 TB in %s at the measured rate: %s", spell(predicted), d.result.RestoreBasis)
}
