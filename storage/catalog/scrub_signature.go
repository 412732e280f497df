package catalog

import (
	"context"
	"strings"
)

// reason is the error without the key.
func (e *UnsignedError) reason() string {
	return strings.TrimPrefix(e.Error(), "document "+e.Key+" ")
}

// documentOfSignature is the key of the census or verification whose signature lies at key.
func (c *Cluster) documentOfSignature(key string) (string, bool) {
	document, ok := strings.CutSuffix(key, signatureSuffix)
	_, census := idOfDocument(document, c.censusPrefix())
	_, verification := idOfDocument(document, c.verificationPrefix())
	return document, ok && (census || verification)
}

// checkSignature finds a signature whose document is not there. All others are checked with their documents, if any key
// is trusted.
func (s *clusterScrub) checkSignature(document string) {
	key := document + signatureSuffix
	_, there := s.sizes[document]
	switch {
	case !there:
		s.unknown(key)
	case len(s.cluster.keys.Trusted) == 0:
		s.unproven(damageSigned, "no public key is configured to check it with", key)
	default:
		s.check(key, damageSigned, func(context.Context) error { return nil })
	}
}
