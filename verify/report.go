package verify

import (
	"cmp"
	"slices"
)

// Severity says how bad a finding is.
type Severity string

// The severities, from best to worst.
const (
	OK       Severity = "ok"
	Warn     Severity = "warn"     // nothing is wrong with what can be recovered, but the operator should know
	Unproven Severity = "unproven" // it could not be checked
	Fail     Severity = "fail"     // damaged, missing, or not recoverable
)

func (s Severity) rank() int {
	return slices.Index([]Severity{OK, Warn, Unproven, Fail}, s)
}

// Finding is one thing that verification has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	Object   string   `json:"object"` // what it is about: a key, or words such as "backup <label> of cluster main"
	Detail   string   `json:"detail"`
	Hint     string   `json:"hint,omitempty"` // what to do about it
}

// Report is the result of Repository.
type Report struct {
	Findings []Finding `json:"findings"` // the worst first
	Objects  int64     `json:"objects"`  // that were read
	Bytes    int64     `json:"bytes"`    // that were read, as stored
	Backups  []Proven  `json:"backups"`  // that were verified, by cluster and in the order of their ends

	closed bool // some objects that backups are made of could not be checked to the end
}

// Result is the worst severity of all findings. A report without any finding has checked nothing: it is Unproven.
func (r Report) Result() Severity {
	if len(r.Findings) == 0 {
		return Unproven
	}
	worst := OK
	for _, f := range r.Findings {
		if f.Severity.rank() > worst.rank() {
			worst = f.Severity
		}
	}
	return worst
}

func (r *Report) add(findings ...Finding) { r.Findings = append(r.Findings, findings...) }

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Compare(b.Severity.rank(), a.Severity.rank())
	})
}
