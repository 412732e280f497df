package storm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"

	"lifeboat/internal/wal"
	"lifeboat/storage/catalog"
)

const (
	systemIdentifier = 7123456789012345678
	segmentSize      = wal.MinSegmentSize
	maxNoise         = 96 << 10 // bytes of a segment that do not compress
)

// segment is a segment that PostgreSQL would accept: a page header, a segment switch, and behind it noise, which depends
// on the seed and the number alone.
func segment(seed uint64, number uint32) (catalog.WALFile, []byte) {
	name, err := wal.ParseFileName(fmt.Sprintf("0000000100000000%08X", number))
	if err != nil {
		panic(err)
	}
	content := switchedSegment(name.Start(segmentSize), name.Timeline)
	rng := rand.New(rand.NewPCG(seed, uint64(number)))
	fill(rng, content[4096:4096+rng.IntN(maxNoise)])
	summary, err := wal.ScanSegment(bytes.NewReader(content), int64(len(content)), name, wal.ScanOptions{})
	if err != nil {
		panic(err)
	}
	f := fileOf(name, content)
	f.Summary = &summary
	return f, content
}

// history is the history file of a timeline.
func history(timeline wal.TimelineID) (catalog.WALFile, []byte) {
	content := []byte("1\t0/5000000\tno recovery target specified\n")
	return fileOf(wal.HistoryFile(timeline), content), content
}

func fileOf(name wal.FileName, content []byte) catalog.WALFile {
	return catalog.WALFile{
		Name: name, Size: int64(len(content)), Secret: bytes.Repeat([]byte("nonce..."), 4),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
}

// switchedSegment is laid out as access/xlog_internal.h and access/xlogrecord.h say.
func switchedSegment(start wal.LSN, timeline wal.TimelineID) []byte {
	little := binary.LittleEndian
	page := little.AppendUint16(nil, 0xD110) // PostgreSQL 15
	page = little.AppendUint16(page, 2)      // XLP_LONG_HEADER
	page = little.AppendUint32(page, uint32(timeline))
	page = little.AppendUint64(page, uint64(start))
	page = little.AppendUint64(page, 0) // nothing remains of a record before
	page = little.AppendUint64(page, systemIdentifier)
	page = little.AppendUint32(page, uint32(segmentSize))
	page = little.AppendUint32(page, wal.PageSize)
	record := little.AppendUint32(nil, 24)
	record = little.AppendUint32(record, 0)
	record = little.AppendUint64(record, uint64(start)-24)
	record = append(record, 0x40, 0, 0, 0) // XLOG_SWITCH
	record = little.AppendUint32(record, crc32.Checksum(record, crc32.MakeTable(crc32.Castagnoli)))
	content := make([]byte, segmentSize)
	copy(content, append(page, record...))
	return content
}

func fill(rng *rand.Rand, p []byte) {
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, rng.Uint64())
		p = p[8:]
	}
}
