package catalog

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/wal"
	"lifeboat/storage"
	"lifeboat/storage/catalog/seal"
	"lifeboat/storage/fault"
)

// canary is what must stand in no stored byte of a sealed repository, wherever it was put in.
const canary = "canary-in-the-coal-mine"

// fillWithCanaries stores an object of every kind that carries the canary wherever there is room for one.
func (s *scene) fillWithCanaries(t *testing.T) {
	t.Helper()
	w := tree{"PG_VERSION": []byte("15\n"), canary: []byte(strings.Repeat(canary, 100))}.write(t, s.cluster, sceneLabel, packSize, 1)
	ref, totals, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec := recordOf(s.cluster, sceneLabel, ref, totals)
	rec.BackupLabel, rec.TablespaceMap, rec.Superuser = canary, canary, canary
	rec.Tablespaces = []Tablespace{{OID: 1, Name: canary, Location: "/" + canary}}
	rec.Settings = map[string]string{canary: "a", "b": canary}
	rec.DamagedPages = []DamagedPage{{Path: canary}}
	if err := w.Commit(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	f := segment(t, segmentName, canary)
	f.Summary.RestorePoints[0].Name, f.Summary.Tablespaces = canary, []string{"/" + canary}
	s.put(t, f)
	s.put(t, fileOf(t, "00000002.history", []byte("1\t0/200000\tbefore "+canary+"\n")))
	s.put(t, fileOf(t, segmentName+".00000028.backup", []byte("LABEL: "+canary+"\n")))
	body := json.RawMessage(`{"table":"` + canary + `"}`)
	err = s.cluster.PutCensus(t.Context(), "census-1", body)
	err = errors.Join(err, s.cluster.PutEvidence(t.Context(), "drill-1", map[string][]byte{"report.html": []byte(canary)}, body))
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoStoredByteOfASealedRepositoryTellsNames(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	s.fillWithCanaries(t)
	f := segment(t, segmentName, "other content")
	if _, err := s.cluster.PutWAL(t.Context(), f, sceneTime); err == nil {
		t.Fatal("no conflict")
	}
	hash := must(s.cluster.WALHeader(t.Context(), f.Name))(t).SHA256
	if len(must(s.cluster.Findings(t.Context()))(t)) != 1 {
		t.Error("the conflict has left no finding")
	}
	for _, key := range s.keys(t) {
		object := s.object(t, key)
		for what, secret := range map[string]string{
			"canary": canary, "its base64": "Y2FuYXJ5LWluLXRoZS1jb2FsLW1pbm", "hash of a file": hash, "secret": string(sceneSecret),
		} {
			if bytes.Contains(object, []byte(secret)) || strings.Contains(key, secret) {
				t.Errorf("%s shows the %s", key, what)
			}
		}
	}
	rec := must(s.cluster.Record(t.Context(), sceneLabel))(t)
	if rec.BackupLabel != canary || rec.Settings["b"] != canary || rec.Tablespaces[0].Name != canary || len(rec.Recipients) != 1 {
		t.Errorf("record reads as %+v", rec)
	}
}

func TestPlainSceneShowsTheCanary(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.fillWithCanaries(t)
	if record := s.object(t, s.cluster.recordKey(sceneLabel)); !bytes.Contains(record, []byte(canary)) {
		t.Error("the search for canaries finds none where there are some")
	}
}

func TestAnAgentArchivesTheSameFileAgain(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t)).agent(t)
	for _, f := range everyKind(t) {
		s.put(t, f)
		if stored, err := s.cluster.PutWAL(t.Context(), f, sceneTime.Add(time.Hour)); stored || err != nil {
			t.Errorf("%s again: %v, %v", f.Name, stored, err)
		}
	}
}

func TestAnAgentRefusesOtherContent(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t)).agent(t)
	s.put(t, segment(t, segmentName, ""))
	_, err := s.cluster.PutWAL(t.Context(), segment(t, segmentName, "other"), sceneTime)
	var conflict *ConflictError
	if !errors.As(err, &conflict) || conflict.HaveMAC == "" || conflict.HaveMAC == conflict.OfferedMAC || conflict.Have != "" {
		t.Errorf("error is %v, want a conflict by mac", err)
	}
	if found := must(s.cluster.Findings(t.Context()))(t); len(found) != 1 {
		t.Errorf("findings are %+v", found)
	}
}

// What cannot be compared is never acknowledged, unless an identity can open it.
func TestWithoutTheSecretNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	other := bytes.Repeat([]byte{7}, 32)
	for name, secrets := range map[string][2][]byte{
		"lost": {sceneSecret, nil}, "never had": {nil, sceneSecret}, "another": {sceneSecret, other},
	} {
		s := newSealedScene(t, newKeys(t))
		f := segment(t, segmentName, "")
		f.Secret = secrets[0]
		s.put(t, f)
		f.Secret = secrets[1]
		var incomparable *IncomparableError
		stored, err := s.agent(t).cluster.PutWAL(t.Context(), f, sceneTime)
		if stored || !errors.As(err, &incomparable) || !errors.Is(err, seal.ErrNoIdentity) {
			t.Errorf("%s: %v, %v", name, stored, err)
		}
		if stored, err := s.cluster.PutWAL(t.Context(), f, sceneTime); stored || err != nil {
			t.Errorf("%s, with an identity: %v, %v", name, stored, err)
		}
		if found := must(s.cluster.Findings(t.Context()))(t); len(found) > 0 {
			t.Errorf("%s: findings are %+v", name, found)
		}
	}
}

// An agent must not acknowledge a segment whose stored object is damaged, though it cannot open it. What it cannot prove
// is the MAC of the header, 43 characters in its last line.
func TestAnAgentFindsDamageOfWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t)).agent(t)
	f := soundSegment(t, "000000010000000000000001")
	s.put(t, f)
	key := s.cluster.walKey(f.Name)
	sound := s.object(t, key)
	mac := bytes.Index(sound, []byte("\n--- ")) + len("\n--- ")
	damages := map[string][]byte{"cut": sound[:len(sound)-1], "padded": append(slices.Clone(sound), 0), "empty": nil}
	for at := 0; at < len(sound); at += 5 {
		if at < mac || at >= mac+43 {
			flipped := bytes.Clone(sound)
			flipped[at] ^= 1 << (at % 8)
			damages[string(rune(at))] = flipped
		}
	}
	for what, object := range damages {
		s.overwrite(t, key, object)
		if _, err := s.cluster.CheckWAL(t.Context(), f.Name); !isProblem(err) {
			t.Errorf("%q: %v", what, err)
		}
		if stored, err := s.cluster.PutWAL(t.Context(), f, sceneTime); stored || !isProblem(err) {
			t.Errorf("%q: archived again with %v, %v", what, stored, err)
		}
	}
	s.overwrite(t, key, sound)
	if h := must(s.cluster.CheckWAL(t.Context(), f.Name))(t); !errors.Is(h.Locked, seal.ErrNoIdentity) || h.Size != f.Size {
		t.Errorf("checked as %+v", h)
	}
}

// A note that was put onto another payload, or changed and summed up anew, must not be believed by who can open it.
func TestAForgedNoteIsRefusedByWhoHasAnIdentity(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	f := segment(t, segmentName, "")
	s.put(t, f)
	key := s.cluster.walKey(f.Name)
	sound := s.object(t, key)
	raw, length, err := seal.ReadNote(bytes.NewReader(sound))
	if err != nil {
		t.Fatal(err)
	}
	var note map[string]any
	body := raw[bytes.Index(raw, []byte(`"body":`))+len(`"body":`) : len(raw)-2]
	if err := json.Unmarshal(body, &note); err != nil {
		t.Fatal(err)
	}
	note["archived_at"] = sceneTime.Add(time.Hour)
	forged := must(encodeDocument(kindSealedWAL, note))(t)
	start := bytes.Index(sound, []byte(stanzaOfNote)) + 1
	end := bytes.Index(sound, []byte("\n--- ")) + 1
	object := append(bytes.Clone(sound[:start]), noteStanza(forged)...)
	object = append(object, sound[end:]...)
	if int64(end) >= length {
		t.Fatal("no end of the header")
	}
	s.overwrite(t, key, object)
	if h, err := s.agent(t).cluster.WALHeader(t.Context(), f.Name); err != nil || !h.ArchivedAt.Equal(sceneTime.Add(time.Hour)) {
		t.Fatalf("the forgery is clumsy: %+v, %v", h, err)
	}
	for call, err := range readEach(t.Context(), s.cluster, f.Name) {
		if !isDamaged(err) {
			t.Errorf("%s: %v, want a *DamagedError", call, err)
		}
	}
}

// Who knows the recipients can make an object whose note and header tell different stories. An agent would believe the
// note, therefore nobody else may believe the header.
func TestANoteAboutAnotherFileIsDamage(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	f := segment(t, segmentName, "")
	plain := *s.cluster
	plain.store = newStore(s.bucket, Keys{}, false)
	object := must(plain.encodeWAL(t.Context(), f, sceneTime))(t)
	var payload bytes.Buffer
	sealing := must(s.repo.keys.Recipients.NewNoted(&payload))(t)
	if _, err := io.Copy(sealing, object.parts.reader()); err != nil {
		t.Fatal(err)
	}
	if err := sealing.Close(); err != nil {
		t.Fatal(err)
	}
	told := object.header
	told.ArchivedAt = told.ArchivedAt.Add(time.Hour)
	header := must(noteWAL(sealing, newWALNote(told, nil, nil)))(t)
	s.overwrite(t, s.cluster.walKey(f.Name), append(header, payload.Bytes()...))
	for call, err := range readEach(t.Context(), s.cluster, f.Name) {
		if !isDamaged(err) {
			t.Errorf("%s: %v, want a *DamagedError", call, err)
		}
	}
}

// noteStanza is a note in the header of an age file.
func noteStanza(note []byte) []byte {
	text := base64.RawStdEncoding.EncodeToString(note)
	stanza := []byte(stanzaOfNote[1:])
	for ; len(text) >= 64; text = text[64:] {
		stanza = append(stanza, text[:64]+"\n"...)
	}
	return append(stanza, text+"\n"...)
}

func TestWALHeaderWithoutAnIdentityIsTheNote(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	f := segment(t, segmentName, "")
	s.put(t, f)
	whole := must(s.cluster.WALHeader(t.Context(), f.Name))(t)
	if whole.Locked != nil || len(whole.Summary.RestorePoints) != 1 || whole.SHA256 == "" {
		t.Errorf("with an identity: %+v", whole)
	}
	bare := must(s.agent(t).cluster.WALHeader(t.Context(), f.Name))(t)
	if !errors.Is(bare.Locked, seal.ErrNoIdentity) || bare.SHA256 != "" || bare.Summary.RestorePoints != nil || bare.Summary.Tablespaces != nil {
		t.Errorf("without one: %+v", bare)
	}
	if !samePositions(*bare.Summary, *whole.Summary) || bare.Summary.MaxXID != whole.Summary.MaxXID || !bare.ArchivedAt.Equal(whole.ArchivedAt) {
		t.Errorf("without one: %+v", bare.Summary)
	}
}

func TestAnAgentReadsALittleForAHeader(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t)).agent(t)
	f := segment(t, segmentName, "")
	content := make([]byte, f.Size)
	for i := range content {
		content[i] = byte(i*i>>8 ^ i)
	}
	f.Open = opens(content)
	s.put(t, f)
	bucket := &rangeCounter{Bucket: s.bucket}
	must(s.through(bucket).WALHeader(t.Context(), f.Name))(t)
	if reads, read := bucket.reads.Load(), bucket.bytes.Load(); reads != 1 || read > headerChunk {
		t.Errorf("%d reads of %d bytes", reads, read)
	}
}

func TestWrongIdentityIsToldFromNone(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	s.fillWithCanaries(t)
	keys := s.repo.keys
	keys.Identities = newSealKeys(t).Identities
	wrong := s.with(t, keys)
	for who, c := range map[string]*Cluster{"none": s.agent(t).cluster, "wrong": wrong.cluster} {
		rec := must(c.Record(t.Context(), sceneLabel))(t)
		for what, err := range map[string]error{
			"record": rec.Locked, "index": second(c.OpenIndex(t.Context(), rec)),
			"WAL":    second(c.GetWAL(t.Context(), must(wal.ParseFileName(segmentName))(t), io.Discard)),
			"census": second(c.Census(t.Context(), "census-1")), "evidence": second(c.Evidence(t.Context(), "drill-1")),
		} {
			var other *seal.WrongIdentityError
			if errors.Is(err, seal.ErrNoIdentity) != (who == "none") || errors.As(err, &other) != (who == "wrong") || isProblem(err) {
				t.Errorf("%s identity, %s: %v", who, what, err)
			}
		}
	}
}

func TestInventoryOfAnAgentHasAllPlainParts(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	rec := sampleTree().backUp(t, s.cluster, sceneLabel, packSize, 1)
	s.archive(t, 1, 1, 4)
	s.archive(t, 2, 4, 6)
	s.put(t, fileOf(t, "00000002.history", []byte("1\t0/480000\tbefore a secret\n")))
	whole, bare := must(s.cluster.Inventory(t.Context()))(t), must(s.agent(t).cluster.Inventory(t.Context()))(t)
	if len(whole.Locked) > 0 || len(bare.Problems) > 0 {
		t.Errorf("locked with an identity: %+v; problems without: %+v", whole.Locked, bare.Problems)
	}
	if !slices.Equal(shown(bare.Runs), shown(whole.Runs)) || len(bare.Windows()) != len(whole.Windows()) || len(bare.Windows()) != 2 {
		t.Errorf("windows are %+v, want %+v", bare.Windows(), whole.Windows())
	}
	if len(bare.Gaps()) != len(whole.Gaps()) || bare.Histories[2].Entries[0].SwitchLSN != 0x480000 || bare.Histories[2].Entries[0].Reason != "" {
		t.Errorf("gaps %+v, history %+v", bare.Gaps(), bare.Histories[2])
	}
	if got := bare.Backups[0]; got.Locked == nil || got.StopLSN != rec.StopLSN || got.Settings != nil || got.Index != rec.Index {
		t.Errorf("backup is %+v", got)
	}
	if len(bare.Locked) < 4 {
		t.Errorf("locked are %+v", bare.Locked)
	}
}

func TestAnAgentRemovesWhatIsUnfinished(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t)).agent(t)
	sampleTree().write(t, s.cluster, sceneLabel, packSize, 1).Abort()
	if err := s.cluster.RemoveUnfinished(t.Context(), sceneLabel); err != nil {
		t.Fatal(err)
	}
	if keys := s.keys(t); len(keys) != 2 {
		t.Errorf("left are %q", keys)
	}
	sampleTree().backUp(t, s.cluster, sceneLabel, packSize, 1)
	if err := s.cluster.RemoveUnfinished(t.Context(), sceneLabel); !errors.Is(err, ErrCommitted) {
		t.Errorf("a committed one: %v", err)
	}
}

func TestRotatedRecipientsLeaveOldObjectsToOldIdentities(t *testing.T) {
	t.Parallel()
	oldSecret, old := newSealPair(t)
	freshSecret, fresh := newSealPair(t)
	both := must(seal.ParseIdentities(strings.NewReader(oldSecret + "\n" + freshSecret + "\n")))(t)
	s := newSealedScene(t, old)
	f, g := soundSegment(t, "000000010000000000000001"), soundSegment(t, "000000010000000000000002")
	s.put(t, f)
	sampleTree().backUp(t, s.cluster, "old", packSize, 1)
	rotated := s.with(t, fresh)
	rotated.put(t, g)
	sampleTree().backUp(t, rotated.cluster, "new", packSize, 1)
	for _, c := range []struct {
		name     string
		cluster  *Cluster
		old, new bool
	}{
		{"old", s.cluster, true, false}, {"new", rotated.cluster, false, true},
		{"both", s.with(t, Keys{Recipients: fresh.Recipients, Identities: both}).cluster, true, true},
	} {
		_, oldErr := c.cluster.GetWAL(t.Context(), f.Name, io.Discard)
		_, newErr := c.cluster.GetWAL(t.Context(), g.Name, io.Discard)
		if (oldErr == nil) != c.old || (newErr == nil) != c.new {
			t.Errorf("%s identity: old %v, new %v", c.name, oldErr, newErr)
		}
		for label, want := range map[string]bool{"old": c.old, "new": c.new} {
			rec := must(c.cluster.Record(t.Context(), label))(t)
			if (rec.Locked == nil) != want {
				t.Errorf("%s identity, %s backup: %v", c.name, label, rec.Locked)
			}
		}
	}
	if stored, err := rotated.cluster.PutWAL(t.Context(), f, sceneTime); stored || err != nil {
		t.Errorf("an old segment again: %v, %v", stored, err)
	}
}

func TestNothingIsWrittenInPlainIntoASealedRepository(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	before := s.keys(t)
	bare := s.with(t, Keys{}).cluster
	_, putErr := bare.PutWAL(t.Context(), segment(t, segmentName, ""), sceneTime)
	_, startErr := bare.StartBackup(t.Context(), StartedBackup{Label: sceneLabel})
	for what, err := range map[string]error{
		"WAL": putErr, "backup": startErr,
		"census":   bare.PutCensus(t.Context(), "c", json.RawMessage(`{}`)),
		"evidence": bare.PutEvidence(t.Context(), "d", map[string][]byte{"f": nil}, json.RawMessage(`{}`)),
	} {
		if !errors.Is(err, ErrNoRecipients) {
			t.Errorf("%s: %v, want ErrNoRecipients", what, err)
		}
	}
	if after := s.keys(t); !slices.Equal(before, after) {
		t.Errorf("stored: %q", after)
	}
}

func TestPlainObjectsInASealedRepositoryAreRefused(t *testing.T) {
	t.Parallel()
	plain, s := newScene(t).fill(t), newSealedScene(t, newSealKeys(t))
	for _, key := range plain.keys(t) {
		if key != repositoryKey {
			s.overwrite(t, key, plain.object(t, key))
		}
	}
	report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t)
	if len(report.Damaged) < 7 {
		t.Errorf("damaged: %+v", report.Damaged)
	}
}

func TestASealedRepositoryIsNotMadeOfAPlainOne(t *testing.T) {
	t.Parallel()
	plain, sealed := newScene(t), newSealedScene(t, newKeys(t))
	if _, err := CreateSealed(t.Context(), plain.bucket, sceneTime); !errors.Is(err, ErrNotSealed) {
		t.Errorf("error is %v, want ErrNotSealed", err)
	}
	for _, create := range []func() (*Repository, error){
		func() (*Repository, error) { return CreateSealed(t.Context(), sealed.bucket, sceneTime) },
		func() (*Repository, error) { return Create(t.Context(), sealed.bucket, sceneTime) },
	} {
		if r, err := create(); err != nil || !r.Sealed() {
			t.Errorf("a sealed one again: %v", err)
		}
	}
}

func TestScrubWithoutAnIdentitySaysWhatItCouldNotProve(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t)).fill(t)
	report := must(s.agent(t).repo.Scrub(t.Context(), ScrubOptions{}))(t)
	if len(report.Damaged)+len(report.Unknown) > 0 {
		t.Errorf("report = %+v", report)
	}
	var unproven []string
	for _, u := range report.Unproven {
		unproven = append(unproven, u.Key)
	}
	for _, key := range s.keys(t) {
		plain := key == repositoryKey || strings.HasSuffix(key, clusterFile) || strings.HasSuffix(key, startedFile) ||
			strings.Contains(key, "/findings/") || strings.Contains(key, "/leases/") || strings.Contains(key, "/verifications/") || strings.HasSuffix(key, signatureSuffix)
		if slices.Contains(unproven, key) == plain {
			t.Errorf("%s: unproven %v", key, !plain)
		}
	}
}

// TestScrubWithoutAnIdentityFindsDamage flips bytes of what can be proven from outside.
func TestScrubWithoutAnIdentityFindsDamage(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t)).fill(t)
	agent := s.agent(t)
	for _, key := range s.keys(t) {
		if strings.Contains(key, "/packs/") {
			continue // only the index, which is sealed, stands for these
		}
		sound := s.object(t, key)
		for _, at := range []int{0, 25, len(sound) - 1, len(sound) - 20} {
			if strings.HasSuffix(key, signatureSuffix) {
				at = len(sound) - 10 - at/10
			}
			damaged := slices.Clone(sound)
			damaged[at] ^= 4
			s.overwrite(t, key, damaged)
			agent.wantFound(t, key, at)
		}
		s.overwrite(t, key, sound)
	}
}

func TestSealedObjectsAreNotSwapped(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	keys.Signer, keys.Trusted = nil, nil
	s := newSealedScene(t, keys)
	for _, id := range []string{"a", "b"} {
		sampleTree().backUp(t, s.cluster, id, packSize, 1)
		err := s.cluster.PutCensus(t.Context(), id, json.RawMessage(`{"of":"`+id+`"}`))
		err = errors.Join(err, s.cluster.PutEvidence(t.Context(), id, map[string][]byte{"f": []byte(id)}, json.RawMessage(`{}`)))
		if err != nil {
			t.Fatal(err)
		}
	}
	checkClean(t, s)
	for _, key := range s.keys(t) {
		other := strings.NewReplacer("/a/", "/b/", "/a.json", "/b.json").Replace(key)
		if other == key || strings.HasSuffix(key, startedFile) {
			continue
		}
		sound := s.object(t, key)
		s.overwrite(t, key, s.object(t, other))
		if report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t); len(report.Damaged) == 0 {
			t.Errorf("%s is that of the other one, and nobody sees it", key)
		}
		s.overwrite(t, key, sound)
	}
	for _, key := range []string{s.cluster.censusKey("a"), s.cluster.recordKey("a")} { // the sealed part alone
		other := strings.NewReplacer("/a/", "/b/", "/a.json", "/b.json").Replace(key)
		sound := s.object(t, key)
		s.overwrite(t, key, swapSealed(t, sound, s.object(t, other)))
		if report := must(s.repo.Scrub(t.Context(), ScrubOptions{}))(t); len(report.Damaged) == 0 {
			t.Errorf("%s has the sealed part of the other one, and nobody sees it", key)
		}
		s.overwrite(t, key, sound)
	}
}

// swapSealed is a document with the sealed part of another one.
func swapSealed(t *testing.T, document, other []byte) []byte {
	t.Helper()
	var into, from envelope
	if err := errors.Join(json.Unmarshal(document, &into), json.Unmarshal(other, &from)); err != nil {
		t.Fatal(err)
	}
	var a, b map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(into.Body, &a), json.Unmarshal(from.Body, &b)); err != nil {
		t.Fatal(err)
	}
	a["sealed"] = b["sealed"]
	return must(encodeDocument(into.Kind, a))(t)
}

func TestSealedEvidenceIsStoredAgainAfterAnInterruption(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	files := map[string][]byte{"report.html": []byte("<p>"), "z.log": []byte("log")}
	put := func(c *Cluster) error {
		return c.PutEvidence(t.Context(), drillID, files, json.RawMessage(`{"a":1}`))
	}
	for after := range 4 { // two files, signature, document
		c := s.faulty(t, fault.Rule{Op: fault.Put, After: after, Action: fault.Fail(errOutage)})
		if err := put(c); !errors.Is(err, errOutage) {
			t.Fatalf("put %d fails: %v", after, err)
		}
	}
	for range 2 {
		if err := put(s.cluster); err != nil {
			t.Fatal(err)
		}
	}
	if got := must(s.cluster.EvidenceFile(t.Context(), drillID, "report.html"))(t); string(got) != "<p>" {
		t.Errorf("file is %q", got)
	}
	if err := put(s.agent(t).cluster); !errors.Is(err, storage.ErrExists) {
		t.Errorf("again by who cannot compare: %v", err)
	}
	checkClean(t, s)
}

func TestLargeSealedSegmentsGoOverADisk(t *testing.T) {
	t.Parallel()
	s := newSealedScene(t, newKeys(t))
	s.cluster.codecs.spools.put(&byteSpool{limit: 1000})
	s.cluster.codecs.spools.put(&byteSpool{limit: 100})
	f := soundSegment(t, "000000010000000000000001")
	content := contentOf(t, f)
	for i := range 100_000 {
		content[5000+i] = byte(i * i >> 7)
	}
	f.Open = opens(content)
	s.put(t, f)
	if got := s.cluster.mustGet(t, f.Name); !bytes.Equal(got, content) {
		t.Error("segment came back changed")
	}
}

func TestSpoolReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	want := randomContent(rand.New(rand.NewPCG(5, 5)), 3*4096)
	for _, limit := range []int{0, 1, 4095, 4096, 5000, 3 * 4096, 1 << 20} {
		spool := &byteSpool{limit: limit}
		for range 2 { // as it is used again
			for at := 0; at < len(want); at += 1000 {
				if _, err := spool.Write(want[at:min(at+1000, len(want))]); err != nil {
					t.Fatal(err)
				}
			}
			parts := chain{sectionOf([]byte("head")), spool.reader(), sectionOf([]byte("tail"))}
			whole := "head" + string(want) + "tail"
			if got := must(io.ReadAll(parts.reader()))(t); string(got) != whole {
				t.Fatalf("limit %d: read other bytes", limit)
			}
			for off := 0; off < len(whole); off += 997 {
				p := make([]byte, 2000)
				n, _ := parts.ReadAt(p, int64(off))
				if string(p[:n]) != whole[off:min(off+2000, len(whole))] {
					t.Fatalf("limit %d: other bytes at %d", limit, off)
				}
			}
			if err := spool.reset(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
