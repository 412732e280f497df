// Package storagetest is the contract of storage.Bucket as a test suite. Every driver and every decorator must pass it.
package storagetest

import (
	"testing"

	"lifeboat/storage"
)

// Run tests the buckets that open makes against the contract. Each call of open must give an empty bucket and arrange
// for its removal with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) storage.Bucket) {
	for _, part := range []struct {
		name string
		test func(*testing.T, storage.Bucket)
	}{
		{"an object reads back as it was put", readsBack},
		{"an object of 64 MiB is streamed", streams},
		{"ranges", ranges},
		{"ranges outside of the object", rangesOutside},
		{"the empty object", emptyObject},
		{"an absent object", absentObject},
		{"location", location},
		{"invalid keys", invalidKeys},
		{"the longest keys", longestKeys},
		{"replacing", replacing},
		{"a conditional put finds an object", conditionalPut},
		{"one of many conditional puts wins", conditionalRace},
		{"readers never see a part", wholeOrNothing},
		{"a body that fails", failingBody},
		{"a body of another size", anotherSize},
		{"a put under a cancelled context", cancelledPut},
		{"a context that ends during a put", cancelledDuringPut},
		{"a cancelled context", cancelledReads},
		{"delete", deleting},
		{"delete races with put", deleteRace},
		{"list order", listOrder},
		{"list by prefix", listPrefix},
		{"list ends early", listEarly},
		{"list of thousands", listThousands},
		{"list of nothing", listNothing},
		{"list while objects come and go", listRace},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.test(t, open(t))
		})
	}
}
