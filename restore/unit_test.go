package restore

import (
	"testing"

	"lifeboat/storage/catalog"
)

// TestRangesJoinNeighbours checks that every frame is in one range, that ranges hold their frames, and how many they are.
func TestRangesJoinNeighbours(t *testing.T) {
	t.Parallel()
	frame := func(pack uint32, offset int64, length uint32) catalog.Frame {
		return catalog.Frame{Pack: pack, Offset: offset, Length: length}
	}
	for name, c := range map[string]struct {
		frames []catalog.Frame
		want   int
	}{
		"one":              {[]catalog.Frame{frame(0, 10, 5)}, 1},
		"neighbours":       {[]catalog.Frame{frame(0, 10, 5), frame(0, 15, 5), frame(0, 20, 1)}, 1},
		"with glue":        {[]catalog.Frame{frame(0, 10, 5), frame(0, 15+maxGap, 5)}, 1},
		"with too much":    {[]catalog.Frame{frame(0, 10, 5), frame(0, 16+maxGap, 5)}, 2},
		"another pack":     {[]catalog.Frame{frame(0, 10, 5), frame(1, 15, 5)}, 2},
		"backwards":        {[]catalog.Frame{frame(0, 10, 5), frame(0, 5, 5)}, 2},
		"overlapping":      {[]catalog.Frame{frame(0, 10, 5), frame(0, 12, 5)}, 2},
		"as large as can":  {[]catalog.Frame{frame(0, 0, maxRange-5), frame(0, maxRange-5, 5)}, 1},
		"larger than that": {[]catalog.Frame{frame(0, 0, maxRange-5), frame(0, maxRange-5, 6)}, 2},
		"empty file":       {nil, 0},
	} {
		file := &outFile{entry: catalog.FileEntry{Frames: c.frames}}
		u := unit{pieces: split(file)}
		ranges := u.ranges()
		if len(ranges) != c.want {
			t.Errorf("%s: %d ranges, want %d", name, len(ranges), c.want)
		}
		next := 0
		for _, r := range ranges {
			for _, got := range r.targets {
				f := got.frame()
				if got.index != next || f.Pack != r.pack || f.Offset < r.offset || f.Offset+int64(f.Length) > r.offset+r.size {
					t.Errorf("%s: frame %d is not in its range %+v", name, got.index, r)
				}
				next++
			}
		}
		if next != len(c.frames) {
			t.Errorf("%s: %d of %d frames", name, next, len(c.frames))
		}
	}
}

// TestSplitCoversEveryFrame cuts files of sizes around the limits.
func TestSplitCoversEveryFrame(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, catalog.FrameSize, unitBytes - 1, unitBytes, unitBytes + 1, 5*unitBytes + 7} {
		frames := (size + catalog.FrameSize - 1) / catalog.FrameSize
		file := &outFile{entry: catalog.FileEntry{FileMeta: catalog.FileMeta{Size: size}, Frames: make([]catalog.Frame, frames)}}
		sum, next := int64(0), 0
		for _, p := range split(file) {
			if p.first != next || p.bytes() > unitBytes {
				t.Errorf("size %d: piece %+v of %d bytes behind frame %d", size, p, p.bytes(), next)
			}
			next, sum = p.first+p.count, sum+p.bytes()
		}
		if sum != size || next != int(frames) {
			t.Errorf("size %d: pieces hold %d bytes and %d of %d frames", size, sum, next, frames)
		}
	}
}
