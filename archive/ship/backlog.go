package ship

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/wal"
)

// rescan is how long a listing without anything new is believed; a busy server fills hardly a segment meanwhile.
const rescan = 100 * time.Millisecond

const readySuffix = ".ready"

// backlog lists what PostgreSQL has marked as ready to be archived.
type backlog struct {
	directory string   // archive_status
	names     []string // ready at the last look and not yet given out, in order
	looked    time.Time
}

func newBacklog(directory string) *backlog { return &backlog{directory: directory} }

// look lists anew what is ready, where all was given out and the last look is long enough ago. A directory that cannot
// be read has nothing: PostgreSQL asks for each file all the same.
func (b *backlog) look(now time.Time) bool {
	if len(b.names) > 0 || (now.Sub(b.looked) < rescan && !now.Before(b.looked)) {
		return false
	}
	b.names, b.looked = ready(b.directory), now
	return true
}

// next gives the first file that is ready and not taken.
func (b *backlog) next(taken func(string) bool) (string, bool) {
	for len(b.names) > 0 {
		name := b.names[0]
		b.names = b.names[1:]
		if !taken(name) {
			return name, true
		}
	}
	return "", false
}

// ready lists the files that wait, in the order in which PostgreSQL would archive them: timeline histories first, since a
// standby's promotion hangs on them, then by name (pgarch.c: ready_file_comparator).
func ready(directory string) []string {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), readySuffix)
		if !ok {
			continue
		}
		if _, err := wal.ParseFileName(name); err == nil {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, byTurn)
	return names
}

func byTurn(a, b string) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

func rank(name string) int {
	if strings.HasSuffix(name, ".history") {
		return 0
	}
	return 1
}

// Waiting is how many files wait to be archived, and since when the oldest does; zero where none does.
func (s *Shipper) Waiting() (files int, oldest time.Time) {
	for _, name := range ready(s.backlog.directory) {
		files++
		info, err := os.Stat(s.backlog.directory + "/" + name + readySuffix)
		if err == nil && (oldest.IsZero() || info.ModTime().Before(oldest)) {
			oldest = info.ModTime()
		}
	}
	return files, oldest
}
