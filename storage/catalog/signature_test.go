package catalog

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"lifeboat/storage"
	"lifeboat/storage/catalog/sign"
	"lifeboat/storage/fault"
)

// signedScene is a plain repository with signed documents, and who trusts their key.
func signedScene(t *testing.T) *scene {
	t.Helper()
	keys := newKeys(t)
	keys.Recipients, keys.Identities = nil, nil
	return newScene(t).with(t, keys).fill(t)
}

// readSigned reads each document that is signed, by its key.
func (s *scene) readSigned(t *testing.T) map[string]error {
	t.Helper()
	return map[string]error{
		s.cluster.recordKey(sceneLabel):             second(s.cluster.Record(t.Context(), sceneLabel)),
		s.cluster.censusKey("census-1"):             second(s.cluster.Census(t.Context(), "census-1")),
		s.cluster.drillKey("drill-1", evidenceFile): second(s.cluster.Evidence(t.Context(), "drill-1")),
		s.cluster.dumpKey("drill-1-0001", dumpFile): second(s.cluster.Dump(t.Context(), "drill-1-0001")),
	}
}

func TestSignedDocumentsAreTrusted(t *testing.T) {
	t.Parallel()
	s := signedScene(t)
	for key, err := range s.readSigned(t) {
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		comment, err := sign.Verify(s.repo.keys.Trusted, s.object(t, key), s.object(t, key+signatureSuffix))
		if err != nil || comment != key {
			t.Errorf("signature of %s: comment %q, %v", key, comment, err)
		}
	}
	checkClean(t, s)
}

// TestDocumentsWithoutATrustedSignatureAreNotUsed damages the signatures in every way that leaves the documents whole.
func TestDocumentsWithoutATrustedSignatureAreNotUsed(t *testing.T) {
	t.Parallel()
	stranger := newKeys(t)
	for damage, change := range map[string]func(s *scene, key string) error{
		"missing":       func(s *scene, key string) error { return os.Remove(s.path(key + signatureSuffix)) },
		"empty":         func(s *scene, key string) error { return os.WriteFile(s.path(key+signatureSuffix), nil, 0o600) },
		"of a stranger": func(s *scene, key string) error { return s.sign(key, stranger.Signer.Sign(s.object(t, key), key)) },
		"for other key": func(s *scene, key string) error {
			return s.sign(key, s.repo.keys.Signer.Sign(s.object(t, key), "other"))
		},
		"of other bytes": func(s *scene, key string) error { return s.sign(key, s.repo.keys.Signer.Sign([]byte("x"), key)) },
	} {
		t.Run(damage, func(t *testing.T) {
			t.Parallel()
			s := signedScene(t)
			for key := range s.readSigned(t) {
				if err := change(s, key); err != nil {
					t.Fatal(err)
				}
			}
			for key, err := range s.readSigned(t) {
				var unsigned *UnsignedError
				if !errors.As(err, &unsigned) || unsigned.Key != key || errors.Is(err, storage.ErrNotFound) != (damage == "missing") {
					t.Errorf("%s: %v, want an *UnsignedError", key, err)
				}
			}
			inv := must(s.cluster.Inventory(t.Context()))(t)
			if len(inv.Backups) > 0 || len(inv.Problems) != 1 {
				t.Errorf("backups are %+v, problems %+v", inv.Backups, inv.Problems)
			}
			report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
			if len(report.Damaged) != 4 || report.Damaged[0].Kind != damageSigned {
				t.Errorf("scrubbed as %+v", report)
			}
			if err := second(s.with(t, Keys{}).cluster.Record(t.Context(), sceneLabel)); err != nil {
				t.Errorf("who trusts nobody reads no record: %v", err)
			}
		})
	}
}

// sign puts another signature beside the document.
func (s *scene) sign(key string, signature []byte) error {
	return os.WriteFile(s.path(key+signatureSuffix), signature, 0o600)
}

// A document that was replaced by another genuine one of the same key, whole but older, is signed, too; the head finds
// that. One of another key is not.
func TestADocumentUnderAnotherKeyIsNotSigned(t *testing.T) {
	t.Parallel()
	s := signedScene(t)
	for _, suffix := range []string{"", signatureSuffix} {
		s.overwrite(t, s.cluster.censusKey("other")+suffix, s.object(t, s.cluster.censusKey("census-1")+suffix))
	}
	var unsigned *UnsignedError
	if err := second(s.cluster.Census(t.Context(), "other")); !errors.As(err, &unsigned) {
		t.Errorf("error is %v, want an *UnsignedError", err)
	}
}

func TestSignaturesNobodyCanCheckAreUnproven(t *testing.T) {
	t.Parallel()
	s := signedScene(t).with(t, Keys{})
	report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
	if len(report.Damaged)+len(report.Unknown) > 0 || len(report.Unproven) != 5 || report.Unproven[0].Kind != damageSigned {
		t.Errorf("report = %+v", report)
	}
}

func TestOrphanedSignaturesAreReported(t *testing.T) {
	t.Parallel()
	s := signedScene(t)
	orphans := []string{
		s.cluster.censusKey("gone") + signatureSuffix, s.cluster.drillKey("gone", evidenceFile) + signatureSuffix,
		s.cluster.drillKey("drill-1", "report.html") + signatureSuffix, s.cluster.startedKey(sceneLabel) + signatureSuffix,
		repositoryKey + signatureSuffix, s.cluster.findingKey("x") + signatureSuffix,
	}
	for _, key := range orphans {
		s.overwrite(t, key, []byte("?"))
	}
	s.overwrite(t, s.cluster.recordKey("unfinished")+signatureSuffix, []byte("?")) // it may be on its way
	report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
	slices.Sort(orphans)
	if !slices.Equal(report.Unknown, orphans) || len(report.Damaged) > 0 || len(report.Unfinished) != 1 {
		t.Errorf("report = %+v", report)
	}
}

func TestOutageOfASignatureIsNotItsAbsence(t *testing.T) {
	t.Parallel()
	s := signedScene(t)
	c := s.faulty(t, fault.Rule{Op: fault.Get, Key: s.cluster.censusKey("census-1") + signatureSuffix, Action: fault.Fail(errOutage)})
	if err := second(c.Census(t.Context(), "census-1")); !errors.Is(err, errOutage) || isProblem(err) {
		t.Errorf("error is %v, want the store's own", err)
	}
}

func TestNoDocumentIsStoredWithoutItsSignature(t *testing.T) {
	t.Parallel()
	inEachForm(t, func(t *testing.T, form form) {
		s := newScene(t)
		keys := newKeys(t)
		if !form.sealed {
			keys.Recipients = nil
		}
		s = s.with(t, keys)
		c := s.faulty(t, fault.Rule{Op: fault.Put, Action: fault.Fail(errOutage)})
		if err := c.PutCensus(t.Context(), "c", json.RawMessage(`{}`)); !errors.Is(err, errOutage) {
			t.Errorf("no room for the signature: %v", err)
		}
		if slices.ContainsFunc(s.keys(t), func(key string) bool { return strings.Contains(key, "censuses") }) {
			t.Error("the document was stored")
		}
		c = s.faulty(t, fault.Rule{Op: fault.Put, After: 1, Action: fault.Fail(errOutage)})
		if err := c.PutCensus(t.Context(), "c", json.RawMessage(`{"first":1}`)); !errors.Is(err, errOutage) {
			t.Errorf("no room for the document: %v", err)
		}
		for range 2 {
			if err := s.cluster.PutCensus(t.Context(), "c", json.RawMessage(`{"second": 1}`)); err != nil {
				t.Errorf("after a signature without a document: %v", err)
			}
		}
		if err := s.cluster.PutCensus(t.Context(), "c", json.RawMessage(`{"third":1}`)); !errors.Is(err, storage.ErrExists) {
			t.Errorf("another census: %v", err)
		}
		if got := must(s.cluster.Census(t.Context(), "c"))(t); string(got) != `{"second":1}` {
			t.Errorf("census is %s", got)
		}
	})
}
