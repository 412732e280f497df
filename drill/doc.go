// Package drill proves that backups come back: it restores one into a scratch instance that can harm nobody, recovers it
// to census and target, compares every table, measures the time against the documented targets, and leaves a verdict
// with its evidence in the repository.
//
// A check that could not run is never a pass.
package drill
