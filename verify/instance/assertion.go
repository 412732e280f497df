package instance

import (
	"context"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Assertion is what an operator holds to be true of the data: a query that gives one value, and exactly one of Equals,
// Between and AtMostOlder.
type Assertion struct {
	Name     string
	Database string
	SQL      string

	Equals      *string       // the very value; numbers are compared as numbers
	Between     *[2]string    // both ends included: numbers, or times
	AtMostOlder time.Duration // the value is a time, at most this much before the moment that was recovered to
}

// AssertOptions are what all assertions share.
type AssertOptions struct {
	Moment  time.Time     // that was recovered to; zero where none is known
	Timeout time.Duration // of each query; zero: none
}

// Assert asks the instance whether an assertion holds. The query is run as it stands, in a session that can only read. A
// query that fails, or gives other than one row of one column, proves nothing; a value that is not the right one fails.
func Assert(ctx context.Context, connect Connect, a Assertion, o AssertOptions) Finding {
	value, f := a.ask(ctx, connect, o)
	if f != nil {
		return *f
	}
	result := a.judge(value, o.Moment)
	result.Objects = 1
	return result
}

// ask runs the query and gives its value; nil for NULL.
func (a Assertion) ask(ctx context.Context, connect Connect, o AssertOptions) (value *string, problem *Finding) {
	fails := func(format string, args ...any) (*string, *Finding) {
		f := found(Unproven, format, args...)
		return nil, &f
	}
	s, err := open(ctx, connect, a.Database)
	if err != nil {
		return fails("%s", words(err))
	}
	defer s.close()
	settings := fmt.Sprintf("SET search_path = pg_catalog, public; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET default_transaction_read_only = on; SET statement_timeout = %d",
		o.Timeout.Milliseconds())
	if _, err := s.Exec(ctx, settings); err != nil {
		return fails("prepare the session: %s", words(err))
	}
	r := s.PgConn().ExecParams(ctx, a.SQL, nil, nil, nil, nil)
	columns, rows := len(r.FieldDescriptions()), 0
	for r.NextRow() {
		if rows++; rows == 1 && len(r.Values()) > 0 && r.Values()[0] != nil {
			text := string(r.Values()[0])
			value = &text
		}
		if rows == 2 {
			s.close() // how many more there are does not matter
			break
		}
	}
	if _, err := r.Close(); err != nil && rows < 2 {
		return fails("the query fails: %s", words(err))
	}
	switch {
	case rows == 0:
		return fails("the query gives no row: it must give one, with one column")
	case rows > 1:
		return fails("the query gives more than one row: it must give one, with one column")
	case columns != 1:
		return fails("the query gives %d columns: it must give one", columns)
	}
	return value, nil
}

func (a Assertion) judge(value *string, moment time.Time) Finding {
	switch {
	case value == nil:
		return found(Fail, "the query gives NULL, not %s", a.wanted())
	case a.Equals != nil:
		return a.verdict(*value, same(*value, *a.Equals))
	case a.Between != nil:
		return a.judgeRange(*value)
	}
	return a.judgeAge(*value, moment)
}

// wanted says what the value must be.
func (a Assertion) wanted() string {
	switch {
	case a.Equals != nil:
		return *a.Equals
	case a.Between != nil:
		return a.Between[0] + " to " + a.Between[1]
	}
	return "a time at most " + a.AtMostOlder.String() + " before the moment recovered to"
}

func (a Assertion) verdict(value string, holds bool) Finding {
	if holds {
		return found(Pass, "%s, as it must be", value)
	}
	return found(Fail, "%s, not %s", value, a.wanted())
}

func (a Assertion) judgeRange(value string) Finding {
	low, high := a.Between[0], a.Between[1]
	if order, ok := compare(low, value); ok {
		if upper, ok := compare(value, high); ok {
			holds := order <= 0 && upper <= 0
			if holds {
				return found(Pass, "%s lies between %s and %s", value, low, high)
			}
			return a.verdict(value, holds)
		}
	}
	return found(Unproven, "%q, %q and %q are not all numbers, or all times", low, value, high)
}

func (a Assertion) judgeAge(value string, moment time.Time) Finding {
	at, ok := parseTime(value)
	switch {
	case !ok:
		return found(Unproven, "%q is not a time", value)
	case moment.IsZero():
		return found(Unproven, "the query gives %s, but the moment that was recovered to is not known", value)
	}
	age := moment.Sub(at).Round(time.Millisecond)
	if age > a.AtMostOlder {
		return found(Fail, "%s is %s older than the moment recovered to, %s: at most %s is allowed", value, age, moment.UTC().Format(time.RFC3339), a.AtMostOlder)
	}
	return found(Pass, "%s is %s older than the moment recovered to", value, max(0, age))
}

// same compares numbers as numbers and everything else as text, where PostgreSQL writes t for true and f for false.
func same(a, b string) bool {
	if a == b || (a == "t" && b == "true") || (a == "f" && b == "false") {
		return true
	}
	order, ok := compare(a, b)
	return ok && order == 0
}

// compare orders two numbers, or two times.
func compare(a, b string) (int, bool) {
	x, isNumber := number(a)
	if y, ok := number(b); ok && isNumber {
		return x.Cmp(y), true
	}
	from, isTime := parseTime(a)
	if to, ok := parseTime(b); ok && isTime {
		return from.Compare(to), true
	}
	return 0, false
}

// number reads a decimal number; fractions and other notations of Go are none.
func number(text string) (*big.Rat, bool) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 1000 || strings.Trim(text, "+-.0123456789") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// parseTime reads a timestamp or date as PostgreSQL writes it in ISO form, or as RFC 3339 does; without a zone it is in
// UTC.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{
		"2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02", time.RFC3339Nano,
	} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// CheckRange says whether two texts can be the ends of a range: both numbers or both times, the lower one first.
func CheckRange(low, high string) bool {
	order, ok := compare(low, high)
	return ok && order <= 0
}
