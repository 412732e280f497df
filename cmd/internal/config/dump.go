package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// Dump says which databases a drill dumps into the repository: none where it is left out.
type Dump struct {
	Databases Databases `yaml:"databases"`
}

// Databases are names of databases, or all that take connections and are no templates.
type Databases struct {
	All   bool
	Names []string
}

// UnmarshalYAML implements yaml.NodeUnmarshaler: the word all, or a list of names.
func (d *Databases) UnmarshalYAML(node ast.Node) error {
	list, isList := node.(*ast.SequenceNode)
	if !isList {
		if value, err := scalar(node); err != nil || value != "all" {
			return at(node, fmt.Errorf("databases is the word all, or a list of names such as [shop, accounts]"))
		}
		*d = Databases{All: true}
		return nil
	}
	for _, item := range list.Values {
		name, err := scalar(item)
		if err == nil && name == "" {
			err = at(item, fmt.Errorf("the name of a database is empty"))
		}
		if err != nil {
			return err
		}
		d.Names = append(d.Names, name)
	}
	return nil
}
