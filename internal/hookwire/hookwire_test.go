package hookwire

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func reader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }

func TestRequestsArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	for _, request := range []Request{
		{Op: Ping, Config: "/c"},
		{Op: Ping, Config: "/c", Cluster: "main"},
		{Op: Push, Config: "/c", Cluster: "main", Path: "/data/pg_wal/000000010000000000000001"},
		{Op: Push, Config: "/c", Path: "/a\tb\nc\"d\xff/é"},
		{Op: Fetch, Config: "/c", Cluster: "main", Name: "00000002.history", Path: "/data/pg_wal/RECOVERYHISTORY"},
		{Op: Push, Config: "/c", Path: "/" + strings.Repeat("x", 4096)},
		{Op: Hand, Name: "000000010000000000000001"},
	} {
		var line bytes.Buffer
		if err := WriteRequest(&line, request); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(line.String(), "\n"); n != 1 {
			t.Errorf("%q has %d lines", line.String(), n)
		}
		if got, err := ReadRequest(bufio.NewReader(&line)); err != nil || got != request {
			t.Errorf("%+v came as %+v, %v", request, got, err)
		}
	}
}

func TestStrangeRequestsAreRefused(t *testing.T) {
	t.Parallel()
	for _, request := range []Request{
		{}, {Op: Push, Path: "/a"}, {Op: Push, Config: "c", Path: "/a"}, {Op: "pull", Config: "/c", Path: "/a"},
		{Op: Push, Config: "/c", Path: "a"}, {Op: Push, Config: "/c"}, {Op: Push, Config: "/c", Name: "x", Path: "/a"},
		{Op: Hand}, {Op: Hand, Name: "x", Path: "/a"}, {Op: Hand, Name: "x", Config: "/c"},
		{Op: Fetch, Config: "/c", Path: "/a"}, {Op: Ping, Config: "/c", Path: "/a"},
		{Op: Push, Config: "/c", Path: "/" + strings.Repeat("x", maxLine)},
	} {
		if err := WriteRequest(new(bytes.Buffer), request); err == nil {
			t.Errorf("%+v was sent", request)
		}
	}
	for _, line := range []string{
		"", "\n", "GET / HTTP/1.1\r\n", `"lifeboat 1"` + "\n", "\"lifeboat 2\"\t\"ping\"\t\"/c\"\t\"\"\t\"\"\t\"\"\n",
		"\"lifeboat 1\"\t\"ping\"\t\"/c\"\t\"\"\t\"\"\t\"\"", // no end
		"lifeboat 1\tping\t\t\t\n", strings.Repeat("x", 2*maxLine) + "\n",
	} {
		if got, err := ReadRequest(reader(line)); err == nil {
			t.Errorf("%.40q was taken for %+v", line, got)
		}
	}
}

func TestAnswersArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	for _, answer := range []Answer{
		{}, {Outcome: Done}, {Outcome: Absent, Detail: "no such file"}, {Outcome: Failed, Detail: "two\nlines\t\x00"}, {Outcome: Declined},
	} {
		var line bytes.Buffer
		if err := WriteAnswer(&line, answer); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadAnswer(bufio.NewReader(&line)); err != nil || got != answer {
			t.Errorf("%+v came as %+v, %v", answer, got, err)
		}
	}
	var line bytes.Buffer
	if err := WriteAnswer(&line, Answer{Detail: strings.Repeat("\x00", 1<<20)}); err != nil {
		t.Errorf("a long sentence is cut: %v", err)
	}
}

// What is cut anywhere promises nothing: least of all that a file is durable, or that there is none.
func TestACutAnswerPromisesNothing(t *testing.T) {
	t.Parallel()
	for _, outcome := range []Outcome{Done, Absent} {
		var line bytes.Buffer
		if err := WriteAnswer(&line, Answer{Outcome: outcome, Detail: "some words"}); err != nil {
			t.Fatal(err)
		}
		whole := line.String()
		for n := range whole {
			if got, err := ReadAnswer(reader(whole[:n])); err == nil || got.Outcome != Failed {
				t.Errorf("%q was taken for %+v", whole[:n], got)
			}
		}
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add("\"lifeboat 1\"\t\"push\"\t\"/c\"\t\"main\"\t\"\"\t\"/a\"\n")
	f.Add("\"lifeboat 1\"\t\"fetch\"\t\"/c\"\t\"\"\t\"x\"\t\"/\\xff\"\n")
	f.Fuzz(func(t *testing.T, line string) {
		request, err := ReadRequest(reader(line))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteRequest(&again, request); err != nil || !strings.HasPrefix(line, again.String()) {
			t.Errorf("%q was read as %+v, which is written as %q, %v", line, request, again.String(), err)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("\"lifeboat 1\"\t\"done\"\t\"\"\n")
	f.Fuzz(func(t *testing.T, line string) {
		answer, err := ReadAnswer(reader(line))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteAnswer(&again, answer); err != nil || (len(answer.Detail) <= maxDetail && !strings.HasPrefix(line, again.String())) {
			t.Errorf("%q was read as %+v, %v", line, answer, err)
		}
	})
}
