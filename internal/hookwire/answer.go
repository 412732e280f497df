package hookwire

import (
	"bufio"
	"fmt"
	"io"
)

// Outcome is how a request ended. The zero value is the one that promises nothing.
type Outcome int

// The outcomes.
const (
	Failed   Outcome = iota // not done, or not known to be
	Done                    // the file is durable, or in its place, verified
	Absent                  // only of Fetch: the repository has answered that there is no such file
	Declined                // nothing was tried: who answers serves another configuration or cluster
)

var outcomes = []string{Failed: "failed", Done: "done", Absent: "absent", Declined: "declined"}

// String is the outcome's name.
func (o Outcome) String() string { return outcomes[o] }

// Answer ends a request.
type Answer struct {
	Outcome Outcome
	Detail  string // one sentence for the server's log
}

// maxDetail keeps the longest sentence, quoted in the worst way, within a line.
const maxDetail = 1 << 10

// WriteAnswer sends an answer in one write. A longer detail is cut.
func WriteAnswer(w io.Writer, a Answer) error {
	return writeLine(w, greeting, a.Outcome.String(), a.Detail[:min(len(a.Detail), maxDetail)])
}

// ReadAnswer reads what WriteAnswer wrote. A connection that ends before is an error, and so is all else: then nothing
// is known about the request.
func ReadAnswer(r *bufio.Reader) (Answer, error) {
	fields, err := readLine(r)
	if err != nil {
		return Answer{}, err
	}
	if len(fields) != 3 || fields[0] != greeting {
		return Answer{}, fmt.Errorf("not an answer of %q", greeting)
	}
	for outcome, name := range outcomes {
		if name == fields[1] {
			return Answer{Outcome: Outcome(outcome), Detail: fields[2]}, nil
		}
	}
	return Answer{}, fmt.Errorf("there is no outcome %q", fields[1])
}
