package census

import (
	"context"
	"fmt"
	"slices"
)

// holdsLargeObjects says whether it is one of the two catalogues that large objects are kept in. They are counted like
// tables.
func (r relation) holdsLargeObjects() bool { return r.schema == "pg_catalog" }

// withLargeObjects leaves the catalogues of large objects out where there are none.
func (h *holder) withLargeObjects(ctx context.Context, relations []relation) ([]relation, error) {
	var any bool
	if err := h.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_largeobject_metadata)").Scan(&any); err != nil {
		return nil, fmt.Errorf("look for large objects: %w", err)
	}
	if any {
		return relations, nil
	}
	return slices.DeleteFunc(relations, relation.holdsLargeObjects), nil
}
