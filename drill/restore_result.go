package drill

// RestoreTime is how long recovery to the drill's target took, from the decision to the first query answered there, and
// what follows from that for other sizes.
type RestoreTime struct {
	Seconds float64 `json:"seconds"` // the sum of the phases
	Phases  []Phase `json:"phases"`  // plan, fetch, start, replay and answer, of this recovery alone
	Bytes   int64   `json:"bytes"`   // that were copied

	TerabyteSeconds float64 `json:"terabyte_seconds"` // as 1 TB would take

	// The cluster as its newest backup has it, which is larger than what was restored where that is older.
	ClusterBytes   int64   `json:"cluster_bytes"`
	ClusterSeconds float64 `json:"cluster_seconds"`

	Basis string `json:"basis"` // what both rest on
}

// PhaseAnswer is the time until the first query at the target was answered.
const PhaseAnswer = "answer"
