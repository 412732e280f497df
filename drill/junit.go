package drill

import (
	"encoding/xml"
	"fmt"
	"io"
)

// The JUnit form: one suite for the drill, one case for each check, table and target. What is not proven is an error,
// which no CI takes for success.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     float64     `xml:"time,attr"`
		Stamp    string      `xml:"timestamp,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Error   *junitMessage `xml:"error,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes a drill as a JUnit document.
func WriteJUnit(w io.Writer, r *Result) error {
	s := junitSuite{Name: "lifeboat drill " + r.Cluster + "/" + r.Drill, Time: r.Finished.Sub(r.Started).Seconds(), Stamp: r.Started.Format("2006-01-02T15:04:05")}
	for _, c := range r.Checks {
		s.add("check", c.Name, c.Result, c.Detail)
	}
	for _, t := range r.Rows.Tables {
		s.add("rows", t.Database+"."+t.Table, t.Result, fmt.Sprintf("%d rows expected, %d restored. %s", t.Expected, t.Actual, t.Why))
	}
	for _, m := range r.Targets {
		s.add("target", m.Name, m.Result, fmt.Sprintf("%s promised, %s measured", m.Target, m.Actual))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(s); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	return nil
}

func (s *junitSuite) add(class, name string, result Verdict, detail string) {
	c := junitCase{Class: class, Name: name}
	s.Tests++
	switch result {
	case Pass, Warn:
		c.Out = detail
	case Fail:
		s.Failures++
		c.Failure = &junitMessage{Message: detail}
	case Unproven, NotRun:
		s.Errors++
		c.Error = &junitMessage{Message: string(result) + ": " + detail}
	}
	s.Cases = append(s.Cases, c)
}
