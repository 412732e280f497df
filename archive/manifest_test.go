package archive_test

import (
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/manifest"
)

// verifyManifest compares a restored directory with its manifest, as pg_verifybackup does, which not every installation
// has: every file is listed, and every listed file is there, with its size and checksum.
func (s *scene) verifyManifest(dir string) {
	s.t.Helper()
	text, err := os.Open(filepath.Join(dir, manifest.Name))
	if err != nil {
		s.t.Fatal(err)
	}
	defer text.Close()
	listed := []string{manifest.Name}
	head, err := manifest.Read(text, func(f manifest.File) error {
		content, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil {
			return err
		}
		sum := manifest.ChecksumOfCRC32C(crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
		if int64(len(content)) != f.Size || !slices.Equal(sum, f.Checksum) {
			s.t.Errorf("%s has %d bytes and checksum %x, the manifest says %d and %x", f.Path, len(content), sum, f.Size, f.Checksum)
		}
		listed = append(listed, f.Path)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if head.Format == manifest.FormatSystem && head.SystemIdentifier != s.cluster.Identity().SystemIdentifier {
		s.t.Errorf("the manifest's system identifier is %d", head.SystemIdentifier)
	}
	slices.Sort(listed)
	if there := s.files(dir); !slices.Equal(listed, there) {
		s.t.Errorf("the manifest lists\n%v\nthere are\n%v", listed, there)
	}
}

// files lists the files of a data directory and its tablespaces, sorted.
func (s *scene) files(dir string) []string {
	s.t.Helper()
	list := filesBelow(s.t.Fatal, dir, "")
	links, err := os.ReadDir(filepath.Join(dir, "pg_tblspc"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, link := range links {
		target, err := os.Readlink(filepath.Join(dir, "pg_tblspc", link.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, filesBelow(s.t.Fatal, target, "pg_tblspc/"+link.Name()+"/")...)
	}
	slices.Sort(list)
	return list
}

func filesBelow(fail func(...any), dir, prefix string) []string {
	var list []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			list = append(list, prefix+strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		fail(err)
	}
	return list
}
