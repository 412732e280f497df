package config

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Error is a mistake in the configuration: where it is and what to do about it.
type Error struct {
	Path    string
	At      Position
	Message string
}

func (e *Error) Error() string {
	if e.At.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Path, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.At.Line, e.At.Column, e.Message)
}

// at ties a mistake to the node it stands in; the loader adds the path.
func at(node ast.Node, err error) error {
	return &Error{At: positionOf(node), Message: err.Error()}
}

func positionOf(node ast.Node) Position {
	token := node.GetToken()
	if token == nil || token.Position == nil {
		return Position{}
	}
	return Position{Line: token.Position.Line, Column: token.Position.Column}
}

// located turns what the YAML decoder said into an Error of the file at path.
func located(path string, err error) error {
	var own *Error
	if errors.As(err, &own) {
		return &Error{Path: path, At: own.At, Message: own.Message}
	}
	var decoding yaml.Error
	if errors.As(err, &decoding) {
		e := &Error{Path: path, Message: decoding.GetMessage()}
		if token := decoding.GetToken(); token != nil && token.Position != nil {
			e.At = Position{Line: token.Position.Line, Column: token.Position.Column}
		}
		return e
	}
	return &Error{Path: path, Message: err.Error()}
}
