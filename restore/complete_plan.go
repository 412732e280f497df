package restore

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/wal"
)

// plan completes the value from what was chosen.
func (p *planner) plan(chosen choice) (Plan, error) {
	record := chosen.trail.record
	spaces, err := p.placeTablespaces(chosen)
	if err != nil {
		return Plan{}, err
	}
	segments := chosen.trail.upTo(chosen.last)
	p.noteDamage(chosen)
	settings := recoverySettings(chosen.target, p.timeline, p.options)
	if p.walBeyond(chosen.trail.run) != "" && record.PostgresVersion >= prefetchSince {
		settings = append(settings, Setting{"recovery_prefetch", "off"})
	}
	plan := Plan{
		Cluster: p.cluster.Name(), SystemIdentifier: p.cluster.Identity().SystemIdentifier,
		Directory: filepath.Clean(p.options.Directory), Timeline: p.timeline, TimelinePath: p.path(record.Timeline),
		Backup: PlannedBackup{
			Label: record.Label, Type: record.Type, PostgresVersion: record.PostgresVersion, Timeline: record.Timeline,
			StartLSN: record.StartLSN, StopLSN: record.StopLSN, StartTime: record.StartTime, StopTime: record.StopTime,
			DamagedPages: len(record.DamagedPages),
		},
		Target: chosen.target, WAL: p.plannedWAL(segments),
		BytesToRead: record.StoredBytes, BytesToWrite: record.ClusterBytes,
		Tablespaces: spaces, Settings: settings, Notes: p.notes,
		CreatesTablespaces: tablespaces(segments), CustomManagers: customManagers(segments), record: record, orphanHistory: p.orphanHistory(),
	}
	return plan, nil
}

// prefetchSince is the first version, as server_version_num, that reads ahead of recovery: also past the target, where a
// gap would end it (https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-RECOVERY-PREFETCH).
const prefetchSince = 150000

// orphanHistory says that recovery along the timeline would be refused for want of its history file, though all of it
// that is needed lies on the timeline itself.
func (p *planner) orphanHistory() bool {
	_, stored := p.inv.Histories[p.timeline]
	return p.timeline > 1 && !stored
}

// path is the timelines that recovery follows from the backup's on.
func (p *planner) path(from wal.TimelineID) []wal.TimelineID {
	return slices.DeleteFunc(p.history.Path(), func(tli wal.TimelineID) bool { return tli < from })
}

func (p *planner) plannedWAL(segments []trailSegment) PlannedWAL {
	return PlannedWAL{
		First: segments[0].name.String(), Last: segments[len(segments)-1].name.String(),
		Segments: len(segments), Bytes: int64(len(segments)) * int64(p.inv.Identity.WALSegmentSize),
	}
}

func (p *planner) noteDamage(chosen choice) {
	if n := len(chosen.trail.record.DamagedPages); n > 0 {
		p.notef("the backup has %d pages that were damaged on the server already", n)
	}
	for _, path := range tablespaces(chosen.trail.upTo(chosen.last)) {
		p.notef("recovery creates a tablespace in %s, whatever is there now", path)
	}
	for _, manager := range customManagers(chosen.trail.upTo(chosen.last)) {
		p.notef("the WAL has records of custom resource manager %d: the server needs its extension's library in shared_preload_libraries", manager)
	}
	for _, problem := range p.inv.Problems {
		p.notef("left out: %v", problem.Err)
	}
	for _, finding := range p.inv.Findings {
		p.notef("known of the archive: %s", finding.Detail)
	}
}

// placeTablespaces applies the map. Every place is absolute, and none lies in another or in the data directory.
func (p *planner) placeTablespaces(chosen choice) ([]PlannedTablespace, error) {
	unused := maps.Clone(p.options.TablespaceMap)
	placed := []PlannedTablespace{}
	for _, space := range chosen.trail.record.Tablespaces {
		if !filepath.IsAbs(space.Location) {
			continue // it lies in the data directory (allow_in_place_tablespaces)
		}
		target := space.Location
		for _, key := range []string{space.Name, space.Location} {
			if to, ok := p.options.TablespaceMap[key]; ok {
				target = to
				delete(unused, key)
			}
		}
		placed = append(placed, PlannedTablespace{OID: space.OID, Name: space.Name, Location: space.Location, Target: filepath.Clean(target)})
	}
	for key := range unused {
		return nil, optionErrorf("the backup has no tablespace %q to be mapped", key)
	}
	return placed, checkPlaces(filepath.Clean(p.options.Directory), placed)
}

func checkPlaces(directory string, placed []PlannedTablespace) error {
	taken := []string{directory}
	for _, space := range placed {
		if !filepath.IsAbs(space.Target) || strings.ContainsAny(space.Target, "\n\r\x00") {
			return optionErrorf("tablespace %s cannot be put in %q, which is not an absolute path", space.Name, space.Target)
		}
		for _, other := range taken {
			if within(space.Target, other) || within(other, space.Target) {
				return optionErrorf("tablespace %s cannot be put in %s, which overlaps %s", space.Name, space.Target, other)
			}
		}
		taken = append(taken, space.Target)
	}
	return nil
}

// within says whether a cleaned path is the directory or lies in it.
func within(path, directory string) bool {
	return path == directory || strings.HasPrefix(path, strings.TrimSuffix(directory, "/")+"/")
}

// someOf are the first names by alphabet, and a mark when there are more.
func someOf(names map[string]bool, limit int) []string {
	sorted := slices.Sorted(maps.Keys(names))
	if len(sorted) > limit {
		return append(sorted[:limit], "...")
	}
	return sorted
}
