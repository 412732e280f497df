package verify

import (
	"strings"
	"testing"

	"lifeboat/internal/objectstore"
	"lifeboat/storage/catalog/seal"
)

// noIdentityIsUnproven verifies a sealed repository by who cannot open it: sound is not proven, damage is found.
func noIdentityIsUnproven(t *testing.T, m material) {
	s := newSceneAt(t, objectstore.NewSealedPlace(t), m, unchanged)
	for who, identities := range map[string]*seal.Identities{"none": nil, "wrong": objectstore.NewKeys(t).Identities} {
		keys := s.place.Keys
		keys.Identities = identities
		s.repo = s.repo.With(keys)
		for _, o := range []Options{{}, {Backup: label}} {
			report := s.verify(o)
			if report.Result() != Unproven || !report.has(Unproven, "WAL from") || !report.has(Unproven, "index objects") || !report.proves(Unproven) {
				t.Errorf("%s identity, %+v: %+v", who, o, report)
			}
		}
		for _, key := range s.place.Objects(t, "") {
			if strings.Contains(key, "/packs/") {
				continue // they are unproven anyway
			}
			content := s.place.Read(t, key)
			flipped := append([]byte(nil), content...)
			flipped[len(flipped)*3/4] ^= 0x10
			s.place.Write(t, key, flipped)
			report, err := Repository(t.Context(), s.repo, Options{})
			if err == nil && report.Result() != Fail {
				t.Errorf("%s identity, a flipped byte in %s: %s", who, key, report.Result())
			}
			s.place.Write(t, key, content)
		}
	}
}

func noPublicKeyIsUnproven(t *testing.T, m material) {
	s := newSceneAt(t, objectstore.NewSealedPlace(t), m, unchanged)
	keys := s.place.Keys
	keys.Trusted = nil
	s.repo = s.repo.With(keys)
	if report := s.verify(Options{}); report.Result() != Unproven || !report.has(Unproven, "signature objects") || !report.has(OK, "it is whole") {
		t.Errorf("report = %+v", report)
	}
}

func unsignedFails(t *testing.T, m material) {
	s := newSceneAt(t, objectstore.NewPlainPlace(t), m, unchanged)
	s.repo = s.repo.With(objectstore.NewKeys(t))
	report := s.verify(Options{})
	if report.Result() != Fail || !report.has(Fail, "is not signed") || report.has(OK, "it is whole") {
		t.Errorf("report = %+v", report)
	}
}
