package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// Conditional says what to do about a store that does not create objects conditionally.
type Conditional bool

// The two choices: such a store is refused, or the check is made before the object is put, which leaves a moment in which
// two writers may overwrite one another.
const (
	Required Conditional = false
	Emulated Conditional = true
)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (c *Conditional) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	switch value {
	case "required":
		*c = Required
	case "emulated":
		*c = Emulated
	default:
		return at(node, fmt.Errorf("conditional_create is required or emulated, not %q", value))
	}
	return nil
}
