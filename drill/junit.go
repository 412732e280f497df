package drill

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The JUnit form: one suite for the drill, one case for its verdict and for each check, table and target. What is not
// proven is an error, which no CI takes for success. Attributes and the order of elements are what the strictest readers
// ask for: no case has anything beside a failure or an error, and details of what passed stand at the suite's end.
type (
	junitSuites struct {
		XMLName xml.Name   `xml:"testsuites"`
		Suite   junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		ID         int             `xml:"id,attr"`
		Package    string          `xml:"package,attr"`
		Name       string          `xml:"name,attr"`
		Host       string          `xml:"hostname,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Time       float64         `xml:"time,attr"`
		Stamp      string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
		Out        string          `xml:"system-out"`
		Err        string          `xml:"system-err"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    float64       `xml:"time,attr"` // cases are not timed one by one
		Failure *junitMessage `xml:"failure,omitempty"`
		Error   *junitMessage `xml:"error,omitempty"`
	}
	junitMessage struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes a drill as a JUnit document.
func WriteJUnit(w io.Writer, r *Result) error {
	s := newSuite(r)
	told, _ := headline(r, concerns(r))
	s.add("drill", "verdict", r.Verdict, told)
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
	if err := encoder.Encode(junitSuites{Suite: s}); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	return nil
}

func newSuite(r *Result) junitSuite {
	_, host, known := strings.Cut(r.Origin.By, "@")
	if !known || host == "" {
		host = "unknown"
	}
	s := junitSuite{
		Package: "lifeboat", Name: "lifeboat drill " + r.Cluster + "/" + r.Drill, Host: host,
		Time: r.Finished.Sub(r.Started).Seconds(), Stamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
	}
	for _, p := range given([][2]string{
		{"id", r.ID}, {"verdict", string(r.Verdict)}, {"backup", r.Backup.Label}, {"census", r.Census},
		{"policy", r.Mandate.title()}, {"approver", r.Mandate.Approver}, {"ticket", r.Mandate.Ticket}, {"trigger", r.Origin.Trigger},
	}) {
		s.Properties = append(s.Properties, junitProperty{Name: p[0], Value: p[1]})
	}
	return s
}

func (s *junitSuite) add(class, name string, result Verdict, detail string) {
	c := junitCase{Class: "lifeboat." + class, Name: name}
	s.Tests++
	switch result {
	case Pass, Warn:
		s.Out += fmt.Sprintf("%s: %s: %s\n", result, name, detail)
	case Fail:
		s.Failures++
		c.Failure = &junitMessage{Type: string(result), Message: detail}
	case Unproven, NotRun:
		s.Errors++
		c.Error = &junitMessage{Type: string(result), Message: string(result) + ": " + detail}
	default:
		s.Errors++
		c.Error = &junitMessage{Type: string(Unproven), Message: string(result) + ": " + detail}
	}
	s.Cases = append(s.Cases, c)
}
