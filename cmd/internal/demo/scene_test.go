package demo

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestASceneGoesAwayAlthoughAHookStillWrites has somebody make files where the scene is cleared away, as a hook does whose server has
// just been stopped.
func TestASceneGoesAwayAlthoughAHookStillWrites(t *testing.T) {
	t.Parallel()
	s := &scene{dir: filepath.Join(t.TempDir(), "scene")}
	deep := filepath.Join(s.dir, "repository")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
			_ = os.WriteFile(filepath.Join(deep, time.Now().Format("05.000000")), nil, 0o600) // the directory may be gone
			_ = os.MkdirAll(deep, 0o700)                                                      // and come again
		}
	}()
	for range 3 {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	}
	<-written
	if err := s.remove(); err != nil {
		t.Error(err)
	}
}
