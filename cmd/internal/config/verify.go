package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lifeboat/verify/instance"
)

// Verify says how drills examine what they restored, besides comparing its rows.
type Verify struct {
	Amcheck          Amcheck      `yaml:"amcheck"`
	Assertions       []*Assertion `yaml:"assertions"`
	AssertionTimeout Duration     `yaml:"assertion_timeout"` // of each
}

// defaultAssertionTimeout is how long an assertion may take where nothing is said.
const defaultAssertionTimeout = Duration(time.Minute)

// Amcheck is off, on or heapallindexed; empty: on where the server's programs have it.
type Amcheck string

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (a *Amcheck) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	switch *a = Amcheck(value); *a {
	case "off", "on", "heapallindexed":
		return nil
	}
	return at(node, fmt.Errorf("amcheck is off, on or heapallindexed, not %q", value))
}

// Assertion is what must be true of the data at the drill's target: a query that gives one value, and exactly one of
// the three ways to judge it.
type Assertion struct {
	Name        Text     `yaml:"name"`
	Database    Text     `yaml:"database"`
	SQL         Text     `yaml:"sql"`
	Equals      *Text    `yaml:"equals"`
	Between     []Text   `yaml:"between"`
	AtMostOlder Duration `yaml:"at_most_older"`
}

func (v *Verify) validate(cluster string) error {
	seen := map[string]bool{}
	for i, a := range v.Assertions {
		if a == nil {
			return &Error{Message: fmt.Sprintf("clusters.%s.verify.assertions: number %d is empty", cluster, i+1)}
		}
		if err := a.validate(); err != nil {
			where := a.place()
			if where.Line == 0 {
				err = fmt.Errorf("clusters.%s.verify.assertions: number %d: %w", cluster, i+1, err)
			}
			return &Error{At: where, Message: err.Error()}
		}
		if seen[a.Name.Value] {
			return &Error{At: a.Name.At, Message: fmt.Sprintf("two assertions are called %q", a.Name.Value)}
		}
		seen[a.Name.Value] = true
	}
	return nil
}

// place is where the assertion begins, as far as it says anything.
func (a *Assertion) place() Position {
	for _, t := range []Text{a.Name, a.Database, a.SQL} {
		if t.At.Line > 0 {
			return t.At
		}
	}
	return Position{}
}

func (a *Assertion) validate() error {
	judges := 0
	for _, given := range []bool{a.Equals != nil, a.Between != nil, a.AtMostOlder > 0} {
		if given {
			judges++
		}
	}
	switch {
	case a.Name.Value == "":
		return errors.New("an assertion needs a name, such as 'orders are fresh'")
	case a.Database.Value == "":
		return fmt.Errorf("assertion %q does not say in which database", a.Name.Value)
	case a.SQL.Value == "":
		return fmt.Errorf("assertion %q has no sql", a.Name.Value)
	case judges != 1:
		return fmt.Errorf("assertion %q needs exactly one of equals, between and at_most_older", a.Name.Value)
	case a.Between != nil && (len(a.Between) != 2 || !instance.CheckRange(a.Between[0].Value, a.Between[1].Value)):
		return fmt.Errorf("assertion %q: between takes two numbers, or two times, the lower one first", a.Name.Value)
	}
	return nil
}

// Options are the assertion as it is asked for.
func (a *Assertion) Options() instance.Assertion {
	o := instance.Assertion{Name: a.Name.Value, Database: a.Database.Value, SQL: a.SQL.Value, AtMostOlder: time.Duration(a.AtMostOlder)}
	if a.Equals != nil {
		o.Equals = &a.Equals.Value
	}
	if len(a.Between) == 2 {
		o.Between = &[2]string{a.Between[0].Value, a.Between[1].Value}
	}
	return o
}
