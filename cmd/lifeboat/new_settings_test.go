package main

import (
	"regexp"
	"strings"
	"testing"

	"lifeboat/cmd/internal/config"
)

// TestTheFirstConfigurationCanBeGrown removes the signs before the further settings, as a reader is told to.
func TestTheFirstConfigurationCanBeGrown(t *testing.T) {
	t.Parallel()
	text := newSettings(initOptions{repository: "file:///var/lib/lifeboat/repository", connection: "host=/nowhere", stream: true}, "main")
	grown := regexp.MustCompile(`(?m)^( *)# ([a-z]+: )`).ReplaceAllString(text, "$1$2")
	settings, err := config.Parse("lifeboat.yaml", []byte(grown))
	if err != nil {
		t.Fatalf("%v\n%s", err, grown)
	}
	c, notify := settings.Clusters["main"], settings.Scheduler.Notify
	if c.Drills["nightly"].Schedule.Value == "" || c.Census.Schedule.Value == "" || notify.Webhook == nil {
		t.Errorf("%+v, %+v", c, notify)
	}
	if strings.Count(grown, "#") != 1 {
		t.Errorf("not all can be had by removing the sign:\n%s", grown)
	}
}
