package stream

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"lifeboat/internal/wal"
)

// message is what a walsender says in a copy stream.
type message struct {
	start wal.LSN // of data
	data  []byte  // WAL; empty in a keepalive
	end   wal.LSN // of the server's WAL
	reply bool    // the server wants an answer at once
}

const (
	dataHeader      = 1 + 8 + 8 + 8 // 'w', start, end, time
	keepaliveLength = 1 + 8 + 8 + 1 // 'k', end, time, reply
)

// parseMessage reads the content of a CopyData message (XLogData and primary keepalive in "Streaming Replication
// Protocol" of the documentation). The message's data is a part of b.
func parseMessage(b []byte) (message, error) {
	switch {
	case len(b) == 0:
		return message{}, fmt.Errorf("the server sent an empty replication message")
	case b[0] == 'w' && len(b) >= dataHeader:
		m := message{
			start: wal.LSN(binary.BigEndian.Uint64(b[1:])),
			end:   wal.LSN(binary.BigEndian.Uint64(b[9:])),
			data:  b[dataHeader:],
		}
		if uint64(m.start) > math.MaxUint64-uint64(len(m.data)) {
			return message{}, fmt.Errorf("the server sent WAL at the impossible position %s", m.start)
		}
		return m, nil
	case b[0] == 'k' && len(b) == keepaliveLength:
		return message{end: wal.LSN(binary.BigEndian.Uint64(b[1:])), reply: b[17] != 0}, nil
	}
	return message{}, fmt.Errorf("the server sent a replication message of kind %q and %d bytes, which does not exist", b[0], len(b))
}

// answer is a standby status update.
type answer struct {
	written wal.LSN
	durable wal.LSN // as promised
	ping    bool    // the server is asked to say something
}

// postgresEpoch is where PostgreSQL's clock starts.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// encode is the content of a CopyData message. What is durable counts as applied, too: nothing is ever replayed here, and
// transactions with synchronous_commit = remote_apply would wait forever.
func (a answer) encode(now time.Time) []byte {
	b := make([]byte, 0, 34)
	b = append(b, 'r')
	b = binary.BigEndian.AppendUint64(b, uint64(a.written))
	b = binary.BigEndian.AppendUint64(b, uint64(a.durable))
	b = binary.BigEndian.AppendUint64(b, uint64(a.durable))
	b = binary.BigEndian.AppendUint64(b, uint64(now.Sub(postgresEpoch).Microseconds()))
	if a.ping {
		return append(b, 1)
	}
	return append(b, 0)
}
