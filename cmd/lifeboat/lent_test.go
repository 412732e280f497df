package main

import (
	"errors"
	"os"
	"sync"
	"testing"
)

// TestALoanOutlastsWhoLooksForThoseOfTheDead makes loans while others look all the time for files that dead processes have left.
func TestALoanOutlastsWhoLooksForThoseOfTheDead(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	stop := make(chan struct{})
	var lookers sync.WaitGroup
	for range 2 {
		lookers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := reclaimLoans(directory); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 300 {
		file, err := newLoan(directory)
		if err != nil {
			t.Error(err)
			break
		}
		if _, err := os.Stat(file.Name()); err != nil {
			t.Error(err)
		}
		if err := errors.Join(os.Remove(file.Name()), file.Close()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	lookers.Wait()
}
