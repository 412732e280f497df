package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// Durable says where streamed WAL must be before the server is told that it is durable, which is what commits of a server
// wait for that has the agent in synchronous_standby_names.
type Durable int

// The two places.
const (
	InSpool      Durable = iota // on the disk of the spool: the default
	InRepository                // in the repository
)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *Durable) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	switch value {
	case "spool":
		*d = InSpool
	case "repository":
		*d = InRepository
	default:
		return at(node, fmt.Errorf("durable is spool or repository, not %q", value))
	}
	return nil
}
