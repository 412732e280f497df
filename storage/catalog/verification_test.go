package catalog

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/fault"
)

// The labels of the old scene.
const (
	agedLabel  = "20261022T000000Z-full-aaaaaa"
	freshLabel = "20261122T000000Z-full-bbbbbb"
)

// verified stores what was found, in the order of the ids.
func (s *scene) verified(t *testing.T, id string, backups map[string]bool) {
	t.Helper()
	v := Verification{ID: id, Time: sceneTime, By: "verify", Backups: backups}
	if err := s.cluster.PutVerification(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

func TestTheLastLookAtABackupVouchesForIt(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := form.scene(t)
		s.verified(t, "1", map[string]bool{"a": true, "b": true, "c": false})
		s.verified(t, "2", map[string]bool{"b": false, "c": true})
		s.verified(t, "3", map[string]bool{"d": true})
		early := Verification{ID: "4", Time: sceneTime.Add(-1), By: "verify", Backups: map[string]bool{"a": false}}
		if err := s.cluster.PutVerification(t.Context(), early); err != nil {
			t.Fatal(err)
		}
		stock := must(s.agent(t).cluster.TakeStock(t.Context()))(t)
		if labels := slices.Sorted(maps.Keys(stock.Vouched())); !slices.Equal(labels, []string{"a", "c", "d"}) {
			t.Errorf("vouched for are %q", labels)
		}
		checkClean(t, s)
	})
}

func TestVerificationThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for name, v := range map[string]Verification{
		"no id":     {Backups: map[string]bool{"a": true}},
		"bad label": {ID: "1", Backups: map[string]bool{"a/b": true}},
		"nothing":   {ID: "1"},
	} {
		if err := s.cluster.PutVerification(t.Context(), v); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	s.verified(t, "1", map[string]bool{"a": true})
	other := Verification{ID: "1", Time: sceneTime, By: "verify", Backups: map[string]bool{"b": true}}
	if err := s.cluster.PutVerification(t.Context(), other); !errors.Is(err, storage.ErrExists) {
		t.Errorf("another one of the id: %v", err)
	}
}

func TestOnlyTrustedVerificationsVouch(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	keys := s.repo.keys
	keys.Signer = nil
	v := Verification{ID: "1", Time: sceneTime, By: "verify", Backups: map[string]bool{"a": true}}
	if err := s.with(t, keys).cluster.PutVerification(t.Context(), v); !errors.Is(err, ErrNoSigner) {
		t.Errorf("without a key: %v", err)
	}
	keys.Trusted = nil
	if err := s.with(t, keys).cluster.PutVerification(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	stock := must(s.cluster.TakeStock(t.Context()))(t)
	if len(stock.Vouched()) != 0 || len(stock.Inventory.Problems) != 0 {
		t.Errorf("vouched for are %v; problems %v", stock.Vouched(), stock.Inventory.Problems)
	}
}

func TestDamagedVerificationStopsExpiry(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := oldScene(t, form)
		s.verified(t, "1", map[string]bool{freshLabel: true})
		key := s.cluster.verificationKey("1")
		document := s.object(t, key)
		document[len(document)-5] ^= 1
		s.overwrite(t, key, document)
		if _, err := s.expire(t); !errors.Is(err, ErrExpiryStopped) || !strings.Contains(err.Error(), key) {
			t.Errorf("it says %v", err)
		}
	})
}

func TestVerificationsExpireWhenLaterOnesSayTheSame(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := oldScene(t, form)
		s.verified(t, "1", map[string]bool{freshLabel: true})
		s.verified(t, "2", map[string]bool{freshLabel: true, "gone": true})
		s.verified(t, "3", map[string]bool{agedLabel: true})
		s.overwrite(t, ProbePrefix+"db1", []byte("x"))
		c := s.through(agedStore{Bucket: s.bucket, start: sceneTime.Add(-40 * day), fresh: "00000001000000000000000C"})
		for range 2 {
			if _, err := c.Expire(t.Context(), s.plan(t, c)); err != nil {
				t.Fatal(err)
			}
		}
		keys := strings.Join(s.keys(t), "\n")
		for name, left := range map[string]bool{"verifications/1.": false, "verifications/2.": true, "verifications/3.": false, ProbePrefix: false} {
			if strings.Contains(keys, name) != left {
				t.Errorf("%s is left: %t", name, !left)
			}
		}
		checkClean(t, s)
	})
}

func TestSignatureOfAVerificationIsNotExpiredWhileItsDocumentMayCome(t *testing.T) {
	t.Parallel()
	s := oldScene(t, form{})
	s.overwrite(t, s.cluster.verificationKey("1")+signatureSuffix, []byte("x"))
	for fresh, left := range map[string]bool{"verifications/": true, "00000001000000000000000C": false} {
		c := s.through(agedStore{Bucket: s.bucket, start: sceneTime.Add(-40 * day), fresh: fresh})
		expires := slices.ContainsFunc(s.plan(t, c).Expiring(), func(f Fate) bool { return f.Class == FateVerification })
		if expires == left {
			t.Errorf("%s is fresh: it expires: %t", fresh, expires)
		}
	}
}

func TestLeaseIsTakenOverByItsToken(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	own := request("backup", "db1")
	own.Token = NewToken()
	first := must(s.cluster.Acquire(t.Context(), own))(t)
	if _, err := s.cluster.Acquire(t.Context(), request("backup", "db2")); !errors.Is(err, ErrLeaseHeld) {
		t.Errorf("another one: %v", err)
	}
	if when := must(s.cluster.LeaseEnded(t.Context(), "backup"))(t); !when.IsZero() {
		t.Errorf("it is held, and ended at %s", when)
	}
	second := must(s.cluster.Acquire(t.Context(), own))(t)
	if err := second.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if when := must(s.cluster.LeaseEnded(t.Context(), "backup"))(t); when.IsZero() {
		t.Error("it was given back, and did not end")
	}
	if when := must(s.cluster.LeaseEnded(t.Context(), "census"))(t); !when.IsZero() {
		t.Errorf("what nobody held ended at %s", when)
	}
	if first.sequence >= second.sequence {
		t.Errorf("sequence %d after %d", second.sequence, first.sequence)
	}
	own.Token = "short"
	if _, err := s.cluster.Acquire(t.Context(), own); !errors.Is(err, ErrName) {
		t.Errorf("a token that anybody can guess: %v", err)
	}
}

// TestScrubBesideExpiryFindsNoDamage lets an expiry run through while a scrub is at each of its reads.
func TestScrubBesideExpiryFindsNoDamage(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		sample := oldScene(t, form)
		sample.verified(t, "1", map[string]bool{agedLabel: true})
		met := 0
		for n := 0; n < 400; n += int(form.reads(6, 14)) {
			s := sample.copyOf(t)
			set := fault.NewSet(fault.Rule{Op: fault.Get, After: n, Action: fault.Crash(func() {
				if _, err := s.expire(t); err != nil {
					t.Error(err)
				}
			})})
			report, err := (&Repository{newStore(fault.Wrap(s.bucket, set), s.repo.keys, s.repo.sealed)}).Scrub(t.Context(), ScrubOptions{Parallel: 1})
			if err != nil || len(report.Damaged)+len(report.Unproven) > 0 {
				t.Errorf("at read %d: %v, %+v", n, err, report)
			}
			if set.AllFired() != nil {
				break // there are fewer reads than that
			}
			met++
		}
		if met < 5 {
			t.Errorf("only %d reads were met", met)
		}
	})
}
