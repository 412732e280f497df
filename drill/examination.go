package drill

import (
	"fmt"
	"time"

	"lifeboat/verify/instance"
)

// Amcheck says whether heaps and indexes are examined.
type Amcheck string

// The modes. Where the server's programs lack the extension amcheck, a drill that was asked for it is unproven; one that
// was not says so.
const (
	AmcheckAvailable      Amcheck = "" // where it can be done
	AmcheckOff            Amcheck = "off"
	AmcheckOn             Amcheck = "on"
	AmcheckHeapAllIndexed Amcheck = "heapallindexed" // looks in each B-tree for every row, too
)

// Examination says how the restored instance is examined besides the comparison of its rows. The zero value has the
// defaults.
type Examination struct {
	Amcheck          Amcheck
	Assertions       []instance.Assertion
	AssertionTimeout time.Duration // of each; zero: none
}

func (e Examination) check() error {
	switch e.Amcheck {
	case AmcheckAvailable, AmcheckOff, AmcheckOn, AmcheckHeapAllIndexed:
		return nil
	}
	return fmt.Errorf("drill: %q is no way to examine heaps and indexes", e.Amcheck)
}

// demands says whether a drill is unproven without a check.
func (e Examination) demands(check string) bool {
	return check == CheckRelations && (e.Amcheck == AmcheckOn || e.Amcheck == AmcheckHeapAllIndexed)
}
