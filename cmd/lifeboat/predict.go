package main

import (
	"context"
	"fmt"
	"time"

	"lifeboat/cmd/internal/term"
	"lifeboat/drill"
	"lifeboat/restore"
)

// prediction is how long a restore will take, as far as an earlier drill tells.
type prediction struct {
	Seconds float64 `json:"seconds"`
	Basis   string  `json:"basis"`
}

// predict takes the rates that the last drill on this repository measured. Without such a drill there is none.
func (a *app) predict(ctx context.Context, s *scene, plan restore.Plan) *prediction {
	results, _, err := drill.List(ctx, s.cluster)
	if err != nil {
		return nil // the plan holds without it
	}
	for i := len(results) - 1; i >= 0; i-- {
		copying, replay := phaseOf(results[i], drill.PhaseFetch), phaseOf(results[i], drill.PhaseReplay)
		if copying.Bytes == 0 || copying.Seconds <= 0 || replay.Bytes == 0 || replay.Seconds <= 0 {
			continue
		}
		seconds := float64(plan.BytesToWrite)/float64(copying.Bytes)*copying.Seconds + float64(plan.WAL.Bytes)/float64(replay.Bytes)*replay.Seconds
		return &prediction{Seconds: seconds, Basis: "drill " + results[i].ID}
	}
	return nil
}

func phaseOf(r *drill.Result, name string) drill.Phase {
	for _, p := range r.Phases {
		if p.Name == name {
			return p
		}
	}
	return drill.Phase{}
}

// String is the prediction for people.
func (p *prediction) String() string {
	if p == nil {
		return "unknown: no drill has measured this repository yet"
	}
	return fmt.Sprintf("about %s, at the rates of %s", term.Duration(time.Duration(p.Seconds*float64(time.Second))), p.Basis)
}
