package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"lifeboat/internal/wal"
)

// walNote is the body of the note of a sealed WAL object: what can be known of it without an identity. Whoever opens the
// object knows that the note is the one that it was made with; for all others it is no more than a claim.
type walNote struct {
	walNoteHeader
	History []noteSwitch `json:"history,omitempty"` // of a history file
	Digest  *walDigest   `json:"digest,omitempty"`  // absent where the archiver did not know the cluster's secret
	Stanzas string       `json:"stanzas"`           // SHA-256 of the age file up to the stanza of the note
	Payload fileSum      `json:"payload"`           // all bytes behind the age file's header
}

// walNoteHeader is a WALHeader without the hash of the file, and without names and paths.
type walNoteHeader struct {
	walHeaderBody
	SHA256 *struct{} `json:"sha256,omitempty"` // hides that of the header
}

// noteSwitch is an entry of a history file.
type noteSwitch struct {
	Timeline wal.TimelineID `json:"timeline"`
	LSN      wal.LSN        `json:"lsn"`
}

// maxNoteHistory is how many entries of a history fit into a note in any case.
const maxNoteHistory = 5000

// newWALNote begins the note of a file.
func newWALNote(h WALHeader, history []wal.HistoryEntry, digest *walDigest) walNote {
	note := walNote{walNoteHeader: walNoteHeader{walHeaderBody: h.body()}, Digest: digest}
	note.Compression = "" // who cannot open the object expands nothing
	if s := note.Summary; s != nil {
		bare := *s
		bare.RestorePoints, bare.Tablespaces, bare.CustomManagers = nil, nil, nil
		note.Summary = &bare
	}
	if len(history) <= maxNoteHistory {
		for _, entry := range history {
			note.History = append(note.History, noteSwitch{Timeline: entry.Timeline, LSN: entry.SwitchLSN})
		}
	}
	return note
}

// header is what the note says about the file, where why is the reason that no more is known.
func (n walNote) header(why error) WALHeader {
	h := n.walHeaderBody.header()
	h.Locked = why
	for _, entry := range n.History {
		h.history = append(h.history, wal.HistoryEntry{Timeline: entry.Timeline, SwitchLSN: entry.LSN})
	}
	return h
}

// kind is that of the note's document.
func (n walNote) kind() string {
	if n.Piece != nil {
		return kindSealedTail
	}
	return kindSealedWAL
}

// describes says whether the header that was sealed is of the file that the note is about.
func (n walNote) describes(h WALHeader) bool {
	mine := n.walHeaderBody.header()
	return mine.Name == h.Name && mine.SystemIdentifier == h.SystemIdentifier && mine.Size == h.Size &&
		mine.ArchivedAt.Equal(h.ArchivedAt) && (mine.Summary == nil) == (h.Summary == nil) &&
		(h.Summary == nil || samePositions(*mine.Summary, *h.Summary))
}

// stanzaOfNote is how the stanza of the note begins in the header of an age file.
const stanzaOfNote = "\n-> lifeboat-note\n"

// sumOfStanzas is the SHA-256 of the header of an age file up to the stanza of the note, which are the stanzas that
// somebody with an identity needs to open it.
func sumOfStanzas(header []byte) string {
	end := bytes.Index(header, []byte(stanzaOfNote))
	sum := sha256.Sum256(header[:max(0, end)])
	return hex.EncodeToString(sum[:])
}

// decodeWALNote proves that the note is about the file whose object lies at key, and that it stands in the header that it
// was made for.
func (c *Cluster) decodeWALNote(key string, name wal.FileName, header, raw []byte) (walNote, error) {
	var note walNote
	if err := decodeDocument(key, c.kindAt(key).note, raw, &note); err != nil {
		return note, err
	}
	if note.Stanzas != sumOfStanzas(header) {
		return note, damaged(key, "header is not the one that its note was made for")
	}
	if !isHash(note.Payload.SHA256, sha256.Size) {
		return note, damaged(key, "note has no checksum of what is sealed")
	}
	return note, c.checkWALHeader(key, name, note.walHeaderBody.header())
}

// historyOf is the entries of a history file, or none where it cannot be read as such.
func historyOf(name wal.FileName, text []byte) []wal.HistoryEntry {
	if name.Kind != wal.History {
		return nil
	}
	history, err := wal.ParseHistory(name.Timeline, text)
	if err != nil {
		return nil
	}
	return slices.Clip(history.Entries)
}
