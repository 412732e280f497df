package drill

import (
	"fmt"
	"os"
	"path/filepath"
)

// refuseWork keeps scratch instances out of directories that are something else's: a server's, or a repository's. What
// else lies in a work directory is left alone.
func refuseWork(work string) error {
	for dir := filepath.Clean(work); ; dir = filepath.Dir(dir) {
		for file, what := range map[string]string{"PG_VERSION": "a server's data directory", "lifeboat.json": "a repository"} {
			if _, err := os.Lstat(filepath.Join(dir, file)); err == nil {
				return &AccessError{Why: fmt.Sprintf("the work directory %s lies in %s, %s: give drills a directory of their own (scheduler.work_directory)", work, what, dir)}
			}
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
