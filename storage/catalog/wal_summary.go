package catalog

import (
	"time"

	"lifeboat/internal/wal"
)

// walHeaderBody is a WALHeader as it is stored.
type walHeaderBody struct {
	Name             string       `json:"name"`
	SystemIdentifier uint64       `json:"system_identifier,string"`
	Size             int64        `json:"size"`
	SHA256           string       `json:"sha256"`
	ArchivedAt       time.Time    `json:"archived_at"`
	Compression      string       `json:"compression,omitempty"`
	Summary          *summaryBody `json:"summary,omitempty"`
	Piece            *TailRange   `json:"piece,omitempty"`
}

// summaryBody is a wal.Summary as it is stored; what the header says itself is left out.
type summaryBody struct {
	Version       wal.Version     `json:"version"`
	SegmentSize   wal.SegmentSize `json:"segment_size"`
	Timeline      wal.TimelineID  `json:"timeline"`
	FirstRecord   wal.LSN         `json:"first_record"`
	LastRecord    wal.LSN         `json:"last_record"`
	LastRecordEnd wal.LSN         `json:"last_record_end"`
	Switched      bool            `json:"switched"`

	FirstTime     time.Time `json:"first_time,omitzero"`
	LastTime      time.Time `json:"last_time,omitzero"`
	FirstXactTime time.Time `json:"first_xact_time,omitzero"`
	LastXactTime  time.Time `json:"last_xact_time,omitzero"`

	MinXID wal.TransactionID `json:"min_xid"`
	MaxXID wal.TransactionID `json:"max_xid"`

	RestorePoints []restorePointBody `json:"restore_points,omitempty"`
	Tablespaces   []string           `json:"tablespaces,omitempty"`

	CustomManagers []int `json:"custom_resource_managers,omitempty"`
}

type restorePointBody struct {
	Name string    `json:"name"`
	LSN  wal.LSN   `json:"lsn"`
	Time time.Time `json:"time"`
}

// body is the header as it is stored.
func (h WALHeader) body() walHeaderBody {
	b := walHeaderBody{
		Name: h.Name, SystemIdentifier: h.SystemIdentifier, Size: h.Size, SHA256: h.SHA256, ArchivedAt: h.ArchivedAt,
		Compression: h.Compression.stored(), Piece: h.piece,
	}
	if h.Summary != nil {
		b.Summary = newSummaryBody(h.Summary)
	}
	return b
}

// header is the header that was stored.
func (b walHeaderBody) header() WALHeader {
	h := WALHeader{
		Name: b.Name, SystemIdentifier: b.SystemIdentifier, Size: b.Size, SHA256: b.SHA256, ArchivedAt: b.ArchivedAt,
		piece: b.Piece,
	}
	if b.Summary != nil {
		h.Summary = b.Summary.summary(b.SystemIdentifier)
	}
	return h
}

func newSummaryBody(s *wal.Summary) *summaryBody {
	b := &summaryBody{
		Version: s.Version, SegmentSize: s.SegmentSize, Timeline: s.Timeline,
		FirstRecord: s.FirstRecord, LastRecord: s.LastRecord, LastRecordEnd: s.LastRecordEnd, Switched: s.Switched,
		FirstTime: s.FirstTime, LastTime: s.LastTime, FirstXactTime: s.FirstXactTime, LastXactTime: s.LastXactTime,
		MinXID: s.MinXID, MaxXID: s.MaxXID, Tablespaces: s.Tablespaces, CustomManagers: s.CustomManagers,
	}
	for _, p := range s.RestorePoints {
		b.RestorePoints = append(b.RestorePoints, restorePointBody{Name: p.Name, LSN: p.LSN, Time: p.Time})
	}
	return b
}

func (b *summaryBody) summary(systemIdentifier uint64) *wal.Summary {
	s := &wal.Summary{
		SystemIdentifier: systemIdentifier,
		Version:          b.Version, SegmentSize: b.SegmentSize, Timeline: b.Timeline,
		FirstRecord: b.FirstRecord, LastRecord: b.LastRecord, LastRecordEnd: b.LastRecordEnd, Switched: b.Switched,
		FirstTime: b.FirstTime, LastTime: b.LastTime, FirstXactTime: b.FirstXactTime, LastXactTime: b.LastXactTime,
		MinXID: b.MinXID, MaxXID: b.MaxXID, Tablespaces: b.Tablespaces, CustomManagers: b.CustomManagers,
	}
	for _, p := range b.RestorePoints {
		s.RestorePoints = append(s.RestorePoints, wal.RestorePoint{Name: p.Name, LSN: p.LSN, Time: p.Time})
	}
	return s
}
