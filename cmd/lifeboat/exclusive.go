package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/storage/catalog"
)

// exclusively does some work while this process has the lease of its name in the scene's repository, which lasts as long
// as ttl when the process is gone. catalog.ErrLeaseHeld where somebody else has it.
//
// The machine keeps a token for the lease in its state directory, under a lock that ends with the process. So a lease that
// a dead process of this machine has left is taken over at once; one of another machine is waited out.
func (a *app) exclusively(ctx context.Context, s *scene, what string, ttl time.Duration, work func(context.Context) error) error {
	claim, err := claimLease(s.leaseFile(what))
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("lease %s: %w by another process of this machine", what, catalog.ErrLeaseHeld)
	}
	if err != nil {
		a.log.Info("a lease that a dead process of this machine has left is waited out", "lease", what, "error", err)
	}
	defer claim.release()
	lease, err := s.cluster.Acquire(ctx, catalog.LeaseRequest{What: what, Holder: holder(), TTL: ttl, Clock: a.now, Token: claim.Token})
	if err != nil {
		return err
	}
	return lease.Hold(ctx, work)
}

// leaseFile is where this machine keeps its token of a lease. Each repository has leases of its own.
func (s *scene) leaseFile(what string) string {
	name := s.name
	if repository := s.settings.Repository.Name.Value; repository != "" {
		name += "." + repository
	}
	return filepath.Join(s.settings.StateDirectory.Value, name+"."+what+".lease")
}

// leaseClaim is the token of a lease, for as long as the file is locked.
type leaseClaim struct {
	Token string `json:"token"` // empty: there is none to keep
	Boot  string `json:"boot"`  // of the machine: a copy of the file elsewhere, or after a restart, is worth nothing

	file *os.File
}

// claimLease locks the file and takes the token from it, or makes a new one. unix.EWOULDBLOCK where another process has the
// lock. After any other error there is an empty claim.
func claimLease(path string) (leaseClaim, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return leaseClaim{}, err
	}
	if err := makeStateDirectory(filepath.Dir(path)); err != nil {
		return leaseClaim{}, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return leaseClaim{}, err
	}
	claim, err := lockClaim(file, strings.TrimSpace(string(boot)))
	if err != nil {
		return leaseClaim{}, errors.Join(err, file.Close())
	}
	return claim, nil
}

func lockClaim(file *os.File, boot string) (leaseClaim, error) {
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return leaseClaim{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, 1<<10))
	if err != nil {
		return leaseClaim{}, err
	}
	kept := leaseClaim{}
	if json.Unmarshal(raw, &kept) == nil && kept.Boot == boot && kept.Token != "" {
		kept.file = file
		return kept, nil
	}
	fresh := leaseClaim{Token: catalog.NewToken(), Boot: boot, file: file}
	return fresh, fresh.write()
}

// write puts the token on disk, before any lease has it. What root makes belongs to the owner of the directory.
func (c leaseClaim) write() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := c.file.Truncate(0); err != nil {
		return err
	}
	if _, err := c.file.WriteAt(text, 0); err != nil {
		return err
	}
	return errors.Join(giveToServer(c.file.Name(), filepath.Dir(c.file.Name())), c.file.Sync())
}

// release lets go of the lock, which a program that is being started right now may share. The file stays: who removed it
// could lock another one than the next process does.
func (c leaseClaim) release() {
	if c.file != nil {
		_ = errors.Join(unix.Flock(int(c.file.Fd()), unix.LOCK_UN), c.file.Close()) // it was only read since
	}
}
