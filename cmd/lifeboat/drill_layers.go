package main

import (
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/term"
	"lifeboat/drill"
)

// examination is what the configuration says about the layers of a drill.
func examination(c *config.Cluster) drill.Examination {
	e := drill.Examination{Amcheck: drill.Amcheck(c.Verify.Amcheck), AssertionTimeout: time.Duration(c.Verify.AssertionTimeout)}
	for _, a := range c.Verify.Assertions {
		e.Assertions = append(e.Assertions, a.Options())
	}
	return e
}

// tellLayers lists what was looked at in the restored instance, and what that cost.
func (a *app) tellLayers(layers []drill.Layer) {
	if len(layers) == 0 {
		return // of a drill before there were any
	}
	rows := make([][]string, 0, len(layers))
	for _, l := range layers {
		took := term.Duration(time.Duration(l.Seconds * float64(time.Second)))
		detail := l.Detail
		if l.Result == drill.Pass {
			detail = "" // the check has it
		}
		rows = append(rows, []string{l.Name, l.Database, took, term.Bytes(l.Bytes), term.Count(l.Objects), string(l.Result), detail})
	}
	a.out.Table([]term.Column{
		{Title: "layer"}, {Title: "database"}, {Title: "time", Right: true}, {Title: "read", Right: true}, {Title: "objects", Right: true},
		{Title: "result"}, {Title: "detail"},
	}, rows)
	a.out.Printf("\n")
}
