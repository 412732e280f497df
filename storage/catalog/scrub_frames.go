package catalog

import (
	"encoding/binary"
	"iter"
)

// frameSpool brings the frames of an index into the order in which they lie in the packs, in bounded memory.
type frameSpool struct{ *spool }

func newFrameSpool() *frameSpool { return &frameSpool{newSpool()} }

// placedFrame is a frame and how many plain bytes are in it.
type placedFrame struct {
	Frame
	plain int
}

// addEntry takes all frames of a file.
func (s *frameSpool) addEntry(e FileEntry) error {
	var key [12]byte
	var body [24]byte
	for i, f := range e.Frames {
		_, plain := e.FrameRange(i)
		binary.BigEndian.PutUint32(key[:], f.Pack)
		binary.BigEndian.PutUint64(key[4:], uint64(f.Offset))
		binary.BigEndian.PutUint32(body[:], f.Length)
		binary.BigEndian.PutUint32(body[4:], uint32(plain))
		copy(body[8:], f.Sum[:])
		if err := s.add(key[:], body[:]); err != nil {
			return err
		}
	}
	return nil
}

func decodePlaced(r spoolRecord) placedFrame {
	return placedFrame{
		Frame: Frame{
			Pack:   binary.BigEndian.Uint32(r.key),
			Offset: int64(binary.BigEndian.Uint64(r.key[4:])),
			Length: binary.BigEndian.Uint32(r.body),
			Sum:    [16]byte(r.body[8:]),
		},
		plain: int(binary.BigEndian.Uint32(r.body[4:])),
	}
}

// framesOfPack are the frames of one pack by their offsets, or why they cannot be told.
type framesOfPack struct {
	frames []placedFrame
	err    error
}

// byPack yields the frames of each of the first count packs, also of those that hold none.
func (s *frameSpool) byPack(count int) iter.Seq2[int, framesOfPack] {
	return func(yield func(int, framesOfPack) bool) {
		pack := 0
		var frames []placedFrame
		for record, err := range merged([]*spool{s.spool}) {
			if err != nil {
				yield(pack, framesOfPack{err: err})
				return
			}
			f := decodePlaced(record)
			for ; pack < int(f.Pack); pack++ {
				if !yield(pack, framesOfPack{frames: frames}) {
					return
				}
				frames = nil
			}
			frames = append(frames, f)
		}
		for ; pack < count; pack++ {
			if !yield(pack, framesOfPack{frames: frames}) {
				return
			}
			frames = nil
		}
	}
}
