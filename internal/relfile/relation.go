package relfile

import (
	"path"
	"strconv"
	"strings"
)

// Relation is a file that holds a part of a relation: pages of one fork.
type Relation struct {
	Number  uint32 // the relation's file number
	Fork    string // "", "fsm", "vm" or "init"
	Segment uint32 // counted from 0; with a block size of 8 KiB a segment has 1 GiB unless PostgreSQL was built otherwise
}

// ParseRelation reads a path relative to the data directory. ok is false where it is no relation's file, that of a
// temporary relation included.
func ParseRelation(place string) (r Relation, ok bool) {
	if !inDatabase(place) {
		return Relation{}, false
	}
	return ParseName(path.Base(place))
}

// ParseName reads the name of a relation's file by itself: NUMBER[_FORK][.SEGMENT] (src/common/relpath.c: GetRelationPath; storage/file/reinit.c:
// parse_filename_for_nontemp_relation).
func ParseName(name string) (r Relation, ok bool) {
	name, segment, segmented := strings.Cut(name, ".")
	if segmented {
		if r.Segment, ok = number(segment); !ok || r.Segment == 0 {
			return Relation{}, false
		}
	}
	name, fork, forked := strings.Cut(name, "_")
	if forked && fork != "fsm" && fork != "vm" && fork != "init" {
		return Relation{}, false
	}
	r.Fork = fork
	if r.Number, ok = number(name); !ok || r.Number == 0 {
		return Relation{}, false
	}
	return r, true
}

// number reads a decimal number as PostgreSQL writes it: without a sign or a leading zero.
func number(text string) (uint32, bool) {
	if !digits(text) || (len(text) > 1 && text[0] == '0') {
		return 0, false
	}
	value, err := strconv.ParseUint(text, 10, 32)
	return uint32(value), err == nil
}

// UnloggedSet tells the files of one directory that belong to unlogged relations, which a recovery empties: those with
// an init fork beside them. The init forks themselves stay.
type UnloggedSet map[uint32]struct{}

// NewUnloggedSet looks at the names in one directory.
func NewUnloggedSet(names []string) UnloggedSet {
	set := UnloggedSet{}
	for _, name := range names {
		if r, ok := ParseName(name); ok && r.Fork == "init" {
			set[r.Number] = struct{}{}
		}
	}
	return set
}

// Skip says whether the file of this name in the same directory stays out of a backup.
func (s UnloggedSet) Skip(name string) bool {
	r, ok := ParseName(name)
	if !ok || r.Fork == "init" {
		return false
	}
	_, unlogged := s[r.Number]
	return unlogged
}
