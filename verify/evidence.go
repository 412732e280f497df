package verify

import (
	"context"
	"fmt"
)

// checkEvidence holds the evidence of drills against what later evidence repeats of it.
func (c *clusterCheck) checkEvidence(ctx context.Context) error {
	chain, err := c.cluster.CheckEvidenceChain(ctx)
	if err != nil {
		return fmt.Errorf("evidence of drills: %w", err)
	}
	for _, broken := range chain.Broken() {
		name := "evidence of drill " + c.cluster.Name() + "/" + broken.ID
		if broken.Gone {
			c.warn(name, "expiry takes the oldest first, so somebody else has removed it, or this copy never had it: then lifeboat sync brings it",
				"it is gone, though older evidence is there and that of drill %s names it", broken.By)
			continue
		}
		c.fail(name, "find out who has written it anew; what it says cannot be relied on", "it is not what the evidence of drill %s says it was", broken.By)
	}
	return nil
}
