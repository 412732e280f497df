package main

import (
	"context"
	"time"

	"lifeboat/storage/s3"
)

// staleUpload is the age from which on an upload that was not completed has no process left that would.
const staleUpload = 24 * time.Hour

// sweep removes the parts of uploads that were never completed, which cost money and show in no listing. It is no reason
// to fail if the store does not allow it.
func (a *app) sweep(ctx context.Context, s *scene) {
	bucket, ok := s.bucket.driver.(*s3.Bucket)
	if !ok {
		return
	}
	count, err := bucket.AbortStale(ctx, "clusters/"+s.name+"/", staleUpload)
	if err != nil {
		a.log.Info("unfinished uploads were not looked for", "error", err)
	}
	if count > 0 {
		a.log.Warn("removed the parts of uploads that were never completed", "uploads", count)
	}
}
