package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Size is a number of bytes, written with its unit: 10GiB, 500MB.
type Size int64

var sizePattern = regexp.MustCompile(`^(\d+(?:\.\d+)?) ?([kKMGT]i?)?B$`)

// ParseSize reads a size. Units with an i are powers of 1024, those without of 1000.
func ParseSize(text string) (int64, error) {
	wrong := fmt.Errorf("%q is not a size: write bytes with their unit, such as 10GiB or 500MB", text)
	m := sizePattern.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, wrong
	}
	number, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, wrong
	}
	prefix, binary := strings.CutSuffix(m[2], "i")
	base := 1000.0
	if binary {
		base = 1024
	}
	if prefix != "" {
		number *= math.Pow(base, float64(1+strings.Index("KMGT", strings.ToUpper(prefix))))
	}
	if number < 1 || number > 1e18 {
		return 0, wrong
	}
	return int64(number), nil
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (s *Size) UnmarshalYAML(node ast.Node) error {
	value, err := scalar(node)
	if err != nil {
		return err
	}
	parsed, err := ParseSize(value)
	if err != nil {
		return at(node, err)
	}
	*s = Size(parsed)
	return nil
}
