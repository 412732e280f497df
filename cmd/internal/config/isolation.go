package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// Isolation says what becomes of a drill where the system does not let its server be kept apart from all else.
type Isolation int

// The two answers.
const (
	IsolationRequired Isolation = iota // the drill is unproven: the default
	BestEffort                         // it runs all the same, and the evidence says what was missing
)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (i *Isolation) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	switch value {
	case "required":
		*i = IsolationRequired
	case "best effort":
		*i = BestEffort
	default:
		return at(node, fmt.Errorf("isolation is required or best effort, not %q", value))
	}
	return nil
}
