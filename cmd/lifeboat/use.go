package main

import (
	"time"

	"lifeboat/storage/retry"
)

// use is what a command does with the repository: which keys it takes, and how long it waits for a store that is away.
type use struct {
	// patience is for how long without progress an operation on the store is tried again; 0: as long as the command's
	// context lasts.
	patience time.Duration
	// writes makes the command seal and sign what it stores.
	writes bool
	// reads makes the command take the identities that open sealed objects.
	reads identityNeed
}

// identityNeed says whether a command takes the identities that the settings name.
type identityNeed int

const (
	withoutIdentity   identityNeed = iota // it only writes, and must run where no identity is
	identityIfPresent                     // it shows more with one
	identityIfNamed                       // it takes the one that is named, and fails where that cannot be read
)

const (
	// hookPatience bounds what PostgreSQL's hooks wait: PostgreSQL asks again, and reports the failure meanwhile.
	hookPatience = time.Minute
	// longPatience is that of long work, which an outage of some minutes must not throw away.
	longPatience = 15 * time.Minute
	// askPatience is that of commands whose reader waits for an answer.
	askPatience = time.Minute
	// checkPatience is that of check, which is to say that a store is away and not to wait for it.
	checkPatience = 5 * time.Second
	// stallLimit ends an attempt that makes no progress, so that it is made anew.
	stallLimit = time.Minute
)

func pushing() use   { return use{patience: hookPatience, writes: true} }
func fetching() use  { return use{reads: identityIfNamed} } // until its deadline
func producing() use { return use{patience: longPatience, writes: true} }
func reading() use   { return use{patience: longPatience, reads: identityIfNamed} }
func drilling() use  { return use{patience: longPatience, writes: true, reads: identityIfNamed} }
func filling() use   { return use{patience: longPatience, writes: true, reads: identityIfPresent} }
func creating() use  { return use{patience: askPatience, writes: true} }
func asking() use    { return use{patience: askPatience, reads: identityIfPresent} }
func checking() use  { return use{patience: checkPatience, writes: true, reads: identityIfPresent} }

// retryOptions are the patience of a command with its store.
func (a *app) retryOptions(u use) retry.Options {
	return retry.Options{TotalTimeout: u.patience, AttemptTimeout: stallLimit, Now: a.now, Log: a.log}
}
