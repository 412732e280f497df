package census

import (
	"cmp"
	"slices"

	"lifeboat/internal/wal"
)

// chooseStops gives every cut its LSN, such that together they have as few different ones as possible: the earliest
// end of all is chosen for every cut that it lies in, and so on with the rest.
func chooseStops(cuts []*Cut) {
	byEnd := slices.SortedFunc(slices.Values(cuts), func(a, b *Cut) int { return cmp.Compare(a.To, b.To) })
	var stop wal.LSN
	for i, cut := range byEnd {
		if i == 0 || stop < cut.From {
			stop = cut.To
		}
		cut.LSN = stop
	}
}

// Stops lists the positions, ascending, at which recovery must stop (recovery_target_lsn, not inclusive) so that every
// database that has a cut can be compared exactly. Without any cut it is the census's restore point alone.
func (c *Census) Stops() []wal.LSN {
	var stops []wal.LSN
	for _, database := range c.Databases {
		if database.Cut != nil {
			stops = append(stops, database.Cut.LSN)
		}
	}
	if len(stops) == 0 {
		return []wal.LSN{c.RestorePoint.LSN}
	}
	slices.Sort(stops)
	return slices.Compact(stops)
}

// At lists the databases to compare at one of the Stops: those whose cut it is, and at the last stop also those that
// have none.
func (c *Census) At(stop wal.LSN) []Database {
	stops := c.Stops()
	last := stop == stops[len(stops)-1]
	var databases []Database
	for _, database := range c.Databases {
		if database.Cut == nil && last || database.Cut != nil && database.Cut.LSN == stop {
			databases = append(databases, database)
		}
	}
	return databases
}
