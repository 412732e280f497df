// Package limit keeps a bucket's use of the network below what the operator allows.
package limit

// Options are the limits, shared by all who use the bucket. Zero or less means no limit.
type Options struct {
	Upload   int64 // of the bodies of Put, in bytes per second
	Download int64 // of the bodies of Get, in bytes per second
	// Requests is how many operations begin, per second: each Put, Get, Stat, Delete and List, and each thousand
	// entries of a List. The parts of a large object and repeated attempts below this bucket are not counted.
	Requests float64
}
