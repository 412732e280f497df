package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/term"
	"lifeboat/drill"
)

func TestTheConfigurationReachesTheExamination(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("x", []byte(`repository: {url: 'file:///r'}
clusters:
  main:
    verify:
      amcheck: heapallindexed
      assertion_timeout: 5s
      assertions: [{name: fresh, database: shop, sql: SELECT 1, at_most_older: 10m}]
`))
	if err != nil {
		t.Fatal(err)
	}
	e := examination(c.Clusters["main"])
	if e.Amcheck != drill.AmcheckHeapAllIndexed || e.AssertionTimeout != 5*time.Second || len(e.Assertions) != 1 || e.Assertions[0].AtMostOlder != 10*time.Minute {
		t.Errorf("%+v", e)
	}
}

func TestLayersAreToldWithTheirCost(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{out: term.New(&out)}
	a.tellLayers(nil)
	if out.Len() > 0 {
		t.Errorf("of a drill without layers: %q", out.String())
	}
	a.tellLayers([]drill.Layer{
		{Name: "rows", Database: "shop", Seconds: 1.5, Bytes: 1 << 20, Objects: 1234, Result: drill.Pass, Detail: "all is well"},
		{Name: "page checksums", Result: drill.NotRun, Detail: "the cluster has no data checksums"},
	})
	for _, want := range []string{"rows", "shop", "1.5 s", "1.00 MiB", "1,234", "pass", "page checksums", "not run", "the cluster has no data checksums"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
	if strings.Contains(out.String(), "all is well") {
		t.Errorf("what the check says stands twice: %q", out.String())
	}
}
