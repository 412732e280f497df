package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
)

// Policy names the document that drills are run for, and who stands for them. It stands in the evidence.
type Policy struct {
	Name     Text `yaml:"name"`
	Version  Text `yaml:"version"`
	Approver Text `yaml:"approver"`
	Ticket   Text `yaml:"ticket"`
}

// MarshalText makes a text in JSON its value alone.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.Value), nil }

// PolicyOf is the policy of a drill: its own, and where that says nothing the cluster's.
func (c *Cluster) PolicyOf(drill string) Policy {
	p := c.Drills[drill].Policy
	setDefault(&p.Name, c.Policy.Name)
	setDefault(&p.Version, c.Policy.Version)
	setDefault(&p.Approver, c.Policy.Approver)
	setDefault(&p.Ticket, c.Policy.Ticket)
	return p
}

// Fingerprint is a checksum of what a drill is held to: its settings, the targets, the schedule of backups, name and version
// of the policy. It is the same wherever that stands in the file, whoever approves a run, and when a later program has
// settings more that do nothing unless they are given.
func (c *Cluster) Fingerprint(drill string) (string, error) {
	settings, policy := *c.Drills[drill], c.PolicyOf(drill)
	settings.Policy = Policy{}
	raw, err := json.Marshal(map[string]any{
		"name": policy.Name, "version": policy.Version, "drill": drill, "settings": settings, "targets": c.Targets, "backup": c.Backup.Schedule.Text,
	})
	var given any
	if err == nil {
		err = json.Unmarshal(raw, &given)
	}
	if err == nil {
		raw, err = json.Marshal(withoutZeros(given))
	}
	if err != nil {
		return "", fmt.Errorf("fingerprint of drill %s: %w", drill, err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// withoutZeros leaves out of objects what has the value that a setting has which is not given.
func withoutZeros(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = withoutZeros(v[key])
		}
		maps.DeleteFunc(v, func(_ string, value any) bool { return value == nil })
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
	case string, float64, bool:
		if v == "" || v == 0.0 || v == false {
			return nil
		}
	}
	return value
}
