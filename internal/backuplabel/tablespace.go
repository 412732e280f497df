package backuplabel

import (
	"fmt"
	"strconv"
	"strings"
)

// Tablespace is one line of tablespace_map.
type Tablespace struct {
	OID  uint32
	Path string // of its directory on the server
}

// ParseTablespaceMap reads tablespace_map; empty text is a map without entries. The error is ErrMalformed.
func ParseTablespaceMap(text []byte) ([]Tablespace, error) {
	var list []Tablespace
	for _, line := range splitUnescaped(string(text)) {
		oid, path, found := strings.Cut(line, " ")
		number, err := strconv.ParseUint(oid, 10, 32)
		if !found || path == "" || err != nil {
			return nil, fmt.Errorf("tablespace_map: %w line %q", ErrMalformed, line)
		}
		list = append(list, Tablespace{OID: uint32(number), Path: path})
	}
	return list, nil
}

// splitUnescaped cuts text into lines and takes away the backslash that PostgreSQL writes before a newline, a carriage
// return or a backslash in a path (do_pg_backup_start; read_tablespace_map).
func splitUnescaped(text string) []string {
	var (
		lines   []string
		line    strings.Builder
		escaped bool
	)
	for i := range len(text) {
		switch c := text[i]; {
		case escaped:
			line.WriteByte(c)
			escaped = false
		case c == '\\':
			escaped = true
		case c == '\n' || c == '\r':
			if line.Len() > 0 {
				lines = append(lines, line.String())
				line.Reset()
			}
		default:
			line.WriteByte(c)
		}
	}
	if line.Len() > 0 {
		lines = append(lines, line.String())
	}
	return lines
}
