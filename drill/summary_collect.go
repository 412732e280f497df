package drill

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"lifeboat/storage/catalog"
)

// collector sums up drills as they are read, the oldest first. It holds a few numbers of each.
type collector struct {
	SummaryOptions
	sum      *Summary
	chain    catalog.EvidenceChain
	months   map[string]map[string]*Count // by month and drill
	passes   []time.Time
	rto, rpo []float64
	targets  map[string]*TargetKept
	backups  map[string]*BackupRestored
	policies map[string]string // by drill: what it was held to last
	unmended map[string][]int  // by drill: failures with no pass since
}

func newCollector(o SummaryOptions) *collector {
	return &collector{
		SummaryOptions: o, months: map[string]map[string]*Count{}, targets: map[string]*TargetKept{}, backups: map[string]*BackupRestored{},
		policies: map[string]string{}, unmended: map[string][]int{},
		sum: &Summary{
			Cluster: o.Cluster.Name(), From: o.From.UTC(), To: o.To.UTC(), Made: o.Now.UTC(), Failures: []Failure{}, Policies: []PolicyChange{},
			Backups: []BackupRestored{}, Evidence: []EvidenceKept{}, Targets: []TargetKept{}, Open: []string{},
		},
	}
}

// take adds what was read of one drill.
func (c *collector) take(read catalog.ReadEvidence) error {
	c.chain.Add(read)
	r, err := decode(c.Cluster.Name(), read)
	if err != nil {
		c.takeUnreadable(read.ID, err)
		return nil
	}
	switch {
	case r.Started.Before(c.From):
	case r.Started.Before(c.To):
		c.takeDrill(r)
	case passed(r.Verdict):
		c.mend(r) // later than the summary's time, and still of interest
	}
	return nil
}

func passed(v Verdict) bool { return v == Pass || v == Warn }

func (c *collector) within(t time.Time) bool { return !t.Before(c.From) && t.Before(c.To) }

// unreadable is how drills are called whose evidence does not say it.
const unreadable = "(cannot be read)"

func (c *collector) takeUnreadable(id string, err error) {
	at, ok := catalog.IDTime(id)
	if ok && !c.within(at) {
		return
	}
	n := c.count(at, unreadable)
	n.Run++
	n.Unproven++
	c.sum.Failures = append(c.sum.Failures, Failure{ID: id, Started: at, Verdict: Unproven, Reasons: []string{"its evidence cannot be read: " + words(err)}})
	c.sum.Evidence = append(c.sum.Evidence, EvidenceKept{ID: id, Drill: unreadable, Started: at, Verdict: Unproven, Signature: Unsigned})
}

func (c *collector) takeDrill(r *Result) {
	c.countDrill(r)
	c.measure(r)
	c.compareContent(r)
	c.notePolicy(r)
	c.noteBackup(r)
	c.sum.Evidence = append(c.sum.Evidence, EvidenceKept{
		ID: r.ID, Drill: r.Drill, Started: r.Started, Verdict: r.Verdict, Signature: r.Proof.Signature, Key: r.Proof.Key, SHA256: r.Proof.SHA256,
		Approver: r.Mandate.Approver, Ticket: r.Mandate.Ticket,
	})
	if passed(r.Verdict) {
		c.passes = append(c.passes, r.Started)
		c.mend(r)
		return
	}
	c.unmended[r.Drill] = append(c.unmended[r.Drill], len(c.sum.Failures))
	c.sum.Failures = append(c.sum.Failures, Failure{ID: r.ID, Drill: r.Drill, Started: r.Started, Verdict: r.Verdict, Reasons: reasons(r)})
}

// count is the counter of a drill in the month of a moment.
func (c *collector) count(at time.Time, drill string) *Count {
	month := at.UTC().Format(monthLayout)
	if c.months[month] == nil {
		c.months[month] = map[string]*Count{}
	}
	if c.months[month][drill] == nil {
		c.months[month][drill] = &Count{Name: drill}
	}
	return c.months[month][drill]
}

func (c *collector) countDrill(r *Result) {
	n := c.count(r.Started, r.Drill)
	n.Run++
	if r.Origin.Trigger == ByHand {
		n.ByHand++
	}
	switch r.Verdict {
	case Pass:
		n.Passed++
	case Warn:
		n.Passed++
		n.Warned++
	case Fail:
		n.Failed++
	case Unproven, NotRun:
		n.Unproven++
	default:
		n.Unproven++ // a word that is not known proves nothing
	}
}

// mend closes the failures of a drill that now passes.
func (c *collector) mend(r *Result) {
	for _, i := range c.unmended[r.Drill] {
		f := &c.sum.Failures[i]
		f.MendedBy, f.MendedSeconds = r.ID, r.Started.Sub(f.Started).Seconds()
	}
	delete(c.unmended, r.Drill)
}

// maxReasons is how many reasons a summary gives for one failure; the drill's own report has all.
const maxReasons = 3

func reasons(r *Result) []string {
	list := []string{}
	for _, c := range concerns(r) {
		if c.Result == NotRun {
			c.Name = "not run"
		}
		list = append(list, c.Name+": "+c.Detail)
	}
	if more := len(list) - maxReasons; more > 0 {
		list = append(list[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return list
}

func (c *collector) measure(r *Result) {
	if r.RTOSeconds > 0 {
		c.rto = append(c.rto, r.RTOSeconds)
	}
	for _, m := range r.Targets {
		if m.Name == TargetRPO && m.Result != Unproven {
			c.rpo = append(c.rpo, r.RPOSeconds)
		}
		c.keep(m)
	}
}

func (c *collector) keep(m Measured) {
	t := c.targets[m.Name]
	if t == nil {
		t = &TargetKept{Name: m.Name}
		c.targets[m.Name] = t
	}
	t.Promised = m.Target
	switch m.Result {
	case Pass:
		t.Kept++
	case Warn:
		t.Kept++
		t.Nearly++
	case Fail:
		t.Missed++
	case Unproven, NotRun:
		t.Unproven++
		return
	}
	t.WorstPercent = max(t.WorstPercent, m.UsedPercent)
}

func (c *collector) compareContent(r *Result) {
	n := &c.sum.Content
	tables, rows := &n.TolerantTables, &n.TolerantRows
	switch {
	case len(r.Rows.Tables) == 0:
		n.WithoutDrills++
	case r.Rows.Comparison == "exact":
		n.ExactDrills++
		tables, rows = &n.ExactTables, &n.ExactRows
	default:
		n.TolerantDrills++
	}
	for _, t := range r.Rows.Tables {
		*tables++
		*rows += t.Actual
		if t.Result == Fail {
			n.WrongTables++
		}
	}
}

// notePolicy sees when a drill is held to something else than before. Evidence of older programs tells its targets only.
func (c *collector) notePolicy(r *Result) {
	held := r.Mandate.SHA256
	if held == "" {
		held = fmt.Sprintf("%g %% of rows, %s for 1 TB, %s of loss", r.Policy.RowsPercent, spell(r.Policy.RestorePerTerabyte), spell(r.Policy.RPO))
	}
	if c.policies[r.Drill] == held {
		return
	}
	c.policies[r.Drill] = held
	c.sum.Policies = append(c.sum.Policies, PolicyChange{ID: r.ID, Drill: r.Drill, At: r.Started, Now: describePolicy(r)})
}

func describePolicy(r *Result) string {
	text := fmt.Sprintf("rows within %g %%, 1 TB in %s, at most %s lost, a warning from %g %% on",
		r.Policy.RowsPercent, spell(r.Policy.RestorePerTerabyte), spell(r.Policy.RPO), r.Policy.WarnAtPercent)
	if r.Mandate.Schedule != "" {
		text += ", planned at " + r.Mandate.Schedule
	}
	if name := r.Mandate.title(); name != "" {
		text = name + ": " + text
	}
	return text
}

// title is the policy's name with its version and checksum.
func (m Mandate) title() string {
	text := m.Name
	if m.Version != "" {
		text = also(text, "version "+m.Version)
	}
	if m.SHA256 != "" {
		text = also(text, "checksum "+m.SHA256[:min(12, len(m.SHA256))])
	}
	return text
}

func (c *collector) noteBackup(r *Result) {
	if r.Backup.Label == "" {
		return
	}
	b := c.backups[r.Backup.Label]
	if b == nil {
		b = &BackupRestored{Label: r.Backup.Label, Type: r.Backup.Type}
		c.backups[r.Backup.Label] = b
	}
	b.Drills++
	b.Last = r.Started
	if passed(r.Verdict) {
		b.Passed++
	}
}

// summary is what has come together.
func (c *collector) summary() *Summary {
	s := c.sum
	c.plan()
	s.Months = c.monthList()
	s.Drills = c.totals()
	s.Gap = c.gap()
	s.RTO, s.RPO = spread(c.rto), spread(c.rpo)
	for _, name := range slices.Sorted(maps.Keys(c.targets)) {
		s.Targets = append(s.Targets, *c.targets[name])
	}
	for _, label := range slices.Sorted(maps.Keys(c.backups)) {
		s.Backups = append(s.Backups, *c.backups[label])
	}
	s.Chain = Chain{Broken: c.broken(), Expired: c.chain.Expired()}
	s.judge()
	s.Clauses = clauses(s)
	return s
}

// broken are the links that do not hold and are about the summary's time.
func (c *collector) broken() []catalog.BrokenLink {
	broken := []catalog.BrokenLink{}
	for _, b := range c.chain.Broken() {
		if at, ok := catalog.IDTime(b.ID); !ok || c.within(at) {
			broken = append(broken, b)
		}
	}
	return broken
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	slices.SortFunc(values, cmp.Compare[float64])
	middle := values[len(values)/2]
	if len(values)%2 == 0 {
		middle = (middle + values[len(values)/2-1]) / 2
	}
	return Spread{Measured: len(values), Best: values[0], Median: middle, Worst: values[len(values)-1]}
}
