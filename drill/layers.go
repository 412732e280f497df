package drill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lifeboat/verify/census"
	"lifeboat/verify/instance"
)

// Layer is one look at the restored instance, and what it cost.
type Layer struct {
	Name     string  `json:"name"`
	Database string  `json:"database,omitempty"` // empty: all of the instance
	Seconds  float64 `json:"seconds"`
	Bytes    int64   `json:"bytes"`   // read, as far as that is known
	Objects  int64   `json:"objects"` // tables, rows of catalogues, pages and so on
	Result   Verdict `json:"result"`
	Detail   string  `json:"detail"`
}

// The checks that layers make. Those that have nothing to look at, and are not asked for, are left out of a drill's
// checks; its layers then say why.
const (
	CheckCatalogues = "catalogues are sound"
	CheckRelations  = "heaps and indexes are sound"
	CheckChecksums  = "page checksums hold"
	CheckSequences  = "sequences are not behind"
	CheckExtensions = "extensions are the same"
	CheckCollations = "collations are this host's"
	CheckAssertions = "assertions hold"
)

// layerNames are the names of the layers that belong to a check each; those of assertions are the operator's own.
var layerNames = map[string]string{
	CheckRows: "rows", CheckCatalogues: "catalogues", CheckRelations: "heaps and indexes", CheckChecksums: "page checksums",
	CheckSequences: "sequences", CheckExtensions: "extensions", CheckCollations: "collations", CheckAssertions: "assertions",
}

// layerChecks are the checks of layers in their order.
func layerChecks() []string {
	return []string{CheckCatalogues, CheckSequences, CheckExtensions, CheckCollations, CheckAssertions, CheckRelations, CheckChecksums}
}

// examined is a layer with the check that it belongs to.
type examined struct {
	check string
	layer Layer
}

// look runs one layer and measures it. The error is for a drill that was interrupted; then nothing is kept.
func (d *drill) look(ctx context.Context, check string, l Layer, examine func() instance.Finding) error {
	d.checks.during(check)
	if l.Name == "" {
		l.Name = layerNames[check]
	}
	d.Progress(PhaseVerify+" "+l.Name, 0, 0)
	started := d.Now()
	f := examine()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.Seconds = d.Now().Sub(started).Seconds()
	l.Bytes, l.Objects, l.Result, l.Detail = f.Bytes, f.Objects, Verdict(f.Result), f.Detail
	d.keep(check, l)
	return nil
}

// keep adds a layer to the result and judges its check anew.
func (d *drill) keep(check string, l Layer) {
	d.result.Layers = append(d.result.Layers, l)
	d.examined = append(d.examined, examined{check: check, layer: l})
	if check != CheckRows {
		d.settle(check)
	}
}

// keepRows adds the layer of a database's rows, whose check is judged elsewhere.
func (d *drill) keepRows(counted census.Database, r census.DatabaseResult, took time.Duration) {
	l := Layer{Name: layerNames[CheckRows], Database: r.Name, Seconds: took.Seconds(), Objects: int64(len(r.Tables)), Result: Verdict(r.Result)}
	for _, t := range counted.Tables {
		l.Bytes += t.BytesRead()
	}
	l.Detail = also(plural(len(r.Tables), "table")+", "+comparisonWords(string(r.Comparison)), r.Why)
	d.keep(CheckRows, l)
}

// settle makes one check of all its layers. Where none could be run, the check is left out, unless it was asked for.
func (d *drill) settle(check string) {
	var ran, wrong []string
	var verdicts []Verdict
	why := ""
	for _, e := range d.examined {
		switch {
		case e.check != check:
		case e.layer.Result == NotRun:
			why = e.layer.Detail
		default:
			verdicts = append(verdicts, e.layer.Result)
			ran = append(ran, e.layer.words())
			if e.layer.Result != Pass {
				wrong = append(wrong, e.layer.words())
			}
		}
	}
	switch {
	case len(wrong) > 0:
		d.checks.set(check, Worst(verdicts...), "%s", firstFew(wrong))
	case len(ran) > 0:
		d.checks.set(check, Pass, "%s", firstFew(ran))
	case d.Examination.demands(check):
		d.checks.set(check, Unproven, "%s", why)
	default:
		d.checks.drop(check)
	}
}

// words is a layer's detail with what it belongs to.
func (l Layer) words() string {
	what := l.Database
	if !slices.Contains(layerList(), l.Name) {
		what = l.Name
	}
	if what == "" {
		return l.Detail
	}
	return fmt.Sprintf("%s: %s", what, l.Detail)
}

func layerList() []string {
	var list []string
	for _, name := range layerNames {
		list = append(list, name)
	}
	return list
}

// drop leaves a check out.
func (l *checklist) drop(name string) {
	l.checks = slices.DeleteFunc(l.checks, func(c Check) bool { return c.Name == name })
}
