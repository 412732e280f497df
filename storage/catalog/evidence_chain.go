package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"lifeboat/storage"
)

// EvidenceLink names the evidence of an earlier drill and what it said, so that it shows when that is changed or taken
// away. Evidence holds links to the newest ones before it, several, as drills may run beside each other.
type EvidenceLink struct {
	ID     string `json:"id"`
	SHA256 string `json:"sha256"` // of its body in plain, hexadecimal
}

// evidenceLinks is how many drills before it evidence holds links to.
const evidenceLinks = 8

// LastEvidence are the links that the next evidence is to hold, the newest first. What cannot be read is among the
// problems and has none.
func (c *Cluster) LastEvidence(ctx context.Context) (links []EvidenceLink, problems []error, err error) {
	ids, err := c.EvidenceIDs(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range slices.Backward(ids[max(0, len(ids)-evidenceLinks):]) {
		body, err := c.Evidence(ctx, id)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		links = append(links, EvidenceLink{ID: id, SHA256: sumOfBody(body)})
	}
	return links, problems, nil
}

// BrokenLink is a link to evidence that is not as it was.
type BrokenLink struct {
	ID   string // of the evidence that is meant
	By   string // of the evidence that has the link
	Gone bool   // it is not there, though older evidence is; else it says something else than it did
}

// EvidenceChain holds the links of evidence against each other. It holds no more than ids and checksums.
type EvidenceChain struct {
	sums  map[string]string       // of what was read, by id; empty for what is there and could not be read
	links map[EvidenceLink]string // by which evidence each is held
}

// Add takes what was read of one drill.
func (c *EvidenceChain) Add(e ReadEvidence) {
	if c.sums == nil {
		c.sums, c.links = map[string]string{}, map[EvidenceLink]string{}
	}
	if e.Err != nil {
		c.sums[e.ID] = ""
		return
	}
	c.sums[e.ID] = sumOfBody(e.Body)
	var body struct {
		Previous []EvidenceLink `json:"previous"`
	}
	if json.Unmarshal(e.Body, &body) != nil {
		return // a body may be any JSON
	}
	for _, l := range body.Previous {
		if _, known := c.links[l]; !known {
			c.links[l] = e.ID
		}
	}
}

// Broken are the links that do not hold, by the id that is meant.
func (c *EvidenceChain) Broken() []BrokenLink {
	oldest := c.oldest()
	var broken []BrokenLink
	for l, by := range c.links {
		sum, there := c.sums[l.ID]
		switch {
		case there && sum != "" && sum != l.SHA256:
			broken = append(broken, BrokenLink{ID: l.ID, By: by})
		case !there && oldest < l.ID:
			broken = append(broken, BrokenLink{ID: l.ID, By: by, Gone: true})
		}
	}
	slices.SortFunc(broken, func(a, b BrokenLink) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.By, b.By)) })
	return slices.CompactFunc(broken, func(a, b BrokenLink) bool { return a.ID == b.ID })
}

// Expired is the newest evidence that links mean and that is older than all there is, so that expiry may have taken
// it; empty where there is none.
func (c *EvidenceChain) Expired() string {
	oldest, newest := c.oldest(), ""
	for l := range c.links {
		if l.ID < oldest {
			newest = max(newest, l.ID)
		}
	}
	return newest
}

// oldest is the first id of all that is there.
func (c *EvidenceChain) oldest() string {
	oldest := ""
	for id := range c.sums {
		if oldest == "" || id < oldest {
			oldest = id
		}
	}
	return oldest
}

// CheckEvidenceChain reads the evidence of all drills and holds it against each other. Evidence that cannot be read, or that
// expires meanwhile, is no break.
func (c *Cluster) CheckEvidenceChain(ctx context.Context) (*EvidenceChain, error) {
	ids, err := c.EvidenceIDs(ctx)
	if err != nil {
		return nil, err
	}
	var chain EvidenceChain
	err = c.EachEvidence(ctx, ids, func(e ReadEvidence) error {
		if !errors.Is(e.Err, storage.ErrNotFound) {
			chain.Add(e)
		}
		return nil
	})
	return &chain, err
}
