package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkKept wants to find in the evidence who stands for a drill, and the drill in the summary of the year.
func (in *installation) checkKept(t *testing.T, id string) {
	t.Helper()
	shown := document(t, in.must("drill", "show", "latest", "--output", "json"))
	mandate := has(t, "mandate", shown["mandate"], "sha256", "ticket", "approver")
	origin := has(t, "origin", shown["origin"], "trigger", "by", "command")
	if shown["id"] != id || mandate["ticket"] != "OPS-1" || mandate["approver"] != "A Person" || origin["trigger"] != "schedule" {
		t.Errorf("drill show latest: %v %v %v", shown["id"], mandate, origin)
	}
	if command := origin["command"].(string); !strings.HasPrefix(command, "lifeboat drill run") || !strings.Contains(command, "--ticket OPS-1") {
		t.Errorf("command %q", command)
	}
	if text := in.must("drill", "show", id); !strings.Contains(text, "evidence: ") || !strings.Contains(text, "ticket: OPS-1") {
		t.Errorf("drill show says\n%s", text)
	}
	if page := in.must("drill", "report", "latest"); !strings.Contains(page, "A Person") || !strings.Contains(page, "signed") {
		t.Error("the report does not say who stands for it")
	}
	if list := in.must("drill", "list", "--drill", "nightly", "--verdict", "pass"); !strings.Contains(list, id) {
		t.Errorf("drill list says\n%s", list)
	}
	if list := in.must("drill", "list", "--verdict", "fail"); strings.Contains(list, id) {
		t.Errorf("drill list of failures says\n%s", list)
	}
	in.checkSummary(t, id)
}

func (in *installation) checkSummary(t *testing.T, id string) {
	t.Helper()
	text := in.must("drill", "summary")
	for _, want := range []string{"1 of 1 drill passed", "SOC 2", "8.13", "Article 12", id[:4] + "-" + id[4:6], "nightly"} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary does not have %q:\n%s", want, text)
		}
	}
	if page := in.must("drill", "summary", "--format", "html"); !strings.Contains(page, id) || strings.Contains(page, "<script") {
		t.Error("the summary's page does not name the drill")
	}
	in.must("drill", "summary", "--from", "2020-01-01", "--to", "2020-12-31")
	if in.place == "" {
		in.wantChangesSeen(t, id)
	}
}

// wantChangesSeen writes the evidence anew, with a checksum that holds, as one might who has the store's credentials.
func (in *installation) wantChangesSeen(t *testing.T, id string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(in.repository, "clusters/*/*/drills", id, "evidence.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("evidence %v, %v", found, err)
	}
	whole, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	in.overwrite(t, found[0], []byte(strings.Replace(string(whole), `"verdict":"pass"`, `"verdict":"warn"`, 1)))
	o := in.ends(exitFail, "drill", "summary", "--format", "json")
	var summary struct{ Open []string }
	if err := json.Unmarshal([]byte(o.out), &summary); err != nil || !strings.Contains(strings.Join(summary.Open, " "), "cannot be read") {
		t.Errorf("changed evidence: %v\n%s", err, o.out)
	}
	in.ends(exitFail, "drill", "show", "latest")
	in.overwrite(t, found[0], whole)
	in.must("drill", "show", "latest")
}

func (in *installation) overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
