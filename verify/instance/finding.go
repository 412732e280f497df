package instance

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Result is what a layer found.
type Result string

// The results.
const (
	Pass     Result = "pass"
	Warn     Result = "warn"
	Unproven Result = "unproven" // it could not be checked
	Fail     Result = "fail"
	NotRun   Result = "not run" // there is nothing to check, or nothing to check it with
)

// Finding is the outcome of one layer in one place.
type Finding struct {
	Result  Result
	Detail  string
	Bytes   int64 // read, as far as the layer knows
	Objects int64 // looked at
}

// maxShown is how many of many things a detail names.
const maxShown = 5

func found(result Result, format string, args ...any) Finding {
	return Finding{Result: result, Detail: fmt.Sprintf(format, args...)}
}

// some names the first few of many things.
func some(list []string) string {
	if len(list) <= maxShown {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxShown], ", "), len(list)-maxShown)
}

// plural is a number with its word.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// The SQLSTATEs that are told apart: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	lockNotAvailable = "55P03"
	undefinedFile    = "58P01"
	classInternal    = "XX" // damage, and what PostgreSQL thinks impossible
)

// fault is what an answer of the server means for what was asked about.
type fault int

const (
	unknown fault = iota // it says nothing about the data
	damage               // the data are not as they must be
	foreign              // it needs a library that this host lacks
	locked               // a transaction that had not ended where recovery stopped holds it
)

// faultOf sorts the server's refusals. A library that is missing and a relation's file that is missing have the same
// SQLSTATE, and only the words tell them apart (load_external_function in dfmgr.c, mdopenfork in md.c).
func faultOf(err error) fault {
	var refused *pgconn.PgError
	switch {
	case !errors.As(err, &refused):
		return unknown
	case strings.HasPrefix(refused.Message, "could not access file"), strings.HasPrefix(refused.Message, "could not load library"),
		strings.HasPrefix(refused.Message, "could not find function"):
		return foreign
	case refused.Code == lockNotAvailable:
		return locked
	case refused.Code == undefinedFile, strings.HasPrefix(refused.Code, classInternal):
		return damage
	}
	return unknown
}

// words is an error in one line.
func words(err error) string {
	text := err.Error()
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		text = refused.Message
		if refused.Detail != "" {
			text += " (" + refused.Detail + ")"
		}
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\n", " "), "?")
}

// refused is the finding of a layer that an error ended.
func refused(doing string, err error) Finding {
	if faultOf(err) == damage {
		return found(Fail, "%s: %s", doing, words(err))
	}
	return found(Unproven, "%s: %s", doing, words(err))
}
