package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// Compression is how new WAL objects are compressed: zstd, which is also what none stands for, or s2.
type Compression string

// The compressions.
const (
	Zstd Compression = "zstd"
	S2   Compression = "s2"
)

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (c *Compression) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	switch *c = Compression(value); *c {
	case Zstd, S2:
		return nil
	}
	return at(node, fmt.Errorf("compression is zstd or s2, not %q", value))
}
