package config

import (
	"strings"
	"testing"
)

const withPolicy = `
repository: {url: file:///r}
clusters:
  main:
    connection: host=/x
    backup: {schedule: "0 2 * * *"}
    policy: {name: Backup policy, version: 3, approver: Head of Operations, ticket: OPS-1}
    drills:
      nightly: {schedule: "0 4 * * *"}
      yearly:  {to: 1h ago, policy: {version: 4, ticket: OPS-2}}
`

func fingerprint(t *testing.T, text, drill string) string {
	t.Helper()
	c, err := Parse("lifeboat.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	_, main, err := c.Cluster("main")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := main.Fingerprint(drill)
	if err != nil || len(sum) != 64 {
		t.Fatal(sum, err)
	}
	return sum
}

func TestADrillsPolicyIsItsOwnOrTheClusters(t *testing.T) {
	t.Parallel()
	c, err := Parse("lifeboat.yaml", []byte(withPolicy))
	if err != nil {
		t.Fatal(err)
	}
	_, main, err := c.Cluster("")
	if err != nil {
		t.Fatal(err)
	}
	for drill, want := range map[string]string{"nightly": "Backup policy 3 Head of Operations OPS-1", "yearly": "Backup policy 4 Head of Operations OPS-2"} {
		p := main.PolicyOf(drill)
		if got := strings.Join([]string{p.Name.Value, p.Version.Value, p.Approver.Value, p.Ticket.Value}, " "); got != want {
			t.Errorf("%s: %s", drill, got)
		}
	}
}

func TestFingerprintChangesWithThePolicyAlone(t *testing.T) {
	t.Parallel()
	base := fingerprint(t, withPolicy, "nightly")
	for change, text := range map[string]string{
		"another place":  "\n\n" + withPolicy,
		"approver":       strings.Replace(withPolicy, "Head of Operations", "Somebody", 1),
		"ticket":         strings.Replace(withPolicy, "OPS-1", "OPS-9", 1),
		"default given":  strings.Replace(withPolicy, `"0 4 * * *"`, `"0 4 * * *", to: latest`, 1),
		"another drill":  strings.Replace(withPolicy, "1h ago", "2h ago", 1),
		"other spelling": strings.Replace(withPolicy, "    drills:", "    targets: {rpo: 1m}\n    drills:", 1),
	} {
		if fingerprint(t, text, "nightly") != base {
			t.Errorf("%s changes it", change)
		}
	}
	for change, text := range map[string]string{
		"target":          strings.Replace(withPolicy, "    drills:", "    targets: {rpo: 2m}\n    drills:", 1),
		"schedule":        strings.Replace(withPolicy, "0 4", "0 5", 1),
		"recovery target": strings.Replace(withPolicy, `"0 4 * * *"`, `"0 4 * * *", to: 1h ago`, 1),
		"backups":         strings.Replace(withPolicy, "0 2", "0 1", 1),
		"version":         strings.Replace(withPolicy, "version: 3", "version: 5", 1),
	} {
		if fingerprint(t, text, "nightly") == base {
			t.Errorf("%s does not change it", change)
		}
	}
	if fingerprint(t, withPolicy, "yearly") == base {
		t.Error("two drills have the same")
	}
}
