package objectstore

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Server is an S3 server of its own with one empty bucket.
type Server struct {
	Endpoint, Region     string
	AccessKey, SecretKey string
	Bucket               string
	// Directory is where the server keeps the bucket's objects, as files.
	Directory string
}

// S3 starts a versitygw on a file system.
func S3(t *testing.T) Server {
	t.Helper()
	return forTest(t, launchS3)
}

// launchS3 starts a server that keeps everything below a directory.
func launchS3(root string) (Server, *process, error) {
	path, err := program("versitygw")
	if err != nil {
		return Server{}, nil, err
	}
	address, err := loopback()
	if err != nil {
		return Server{}, nil, err
	}
	s := Server{
		Endpoint: "http://" + address, Region: "us-east-1", AccessKey: "tester", SecretKey: rand.Text(), Bucket: "bucket",
		Directory: filepath.Join(root, "objects", "bucket"),
	}
	side := filepath.Join(root, "side")
	for _, dir := range []string{s.Directory, side} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return s, nil, err
		}
	}
	arguments := []string{"--port", address, "--region", s.Region, "--quiet", "--keep-alive", "--health", "/health", "posix"}
	if !takesAttributes(root) {
		arguments = append(arguments, "--sidecar", side)
	}
	cmd := exec.Command(path, append(arguments, filepath.Dir(s.Directory))...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+s.AccessKey, "ROOT_SECRET_ACCESS_KEY="+s.SecretKey)
	p, err := launch(cmd, s.Endpoint+"/health", root)
	return s, p, err
}

// takesAttributes reports whether files in dir may have extended attributes, where the server keeps its metadata.
func takesAttributes(dir string) bool {
	probe := filepath.Join(dir, "probe")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return false
	}
	defer os.Remove(probe)
	return unix.Setxattr(probe, "user.probe", []byte("x"), 0) == nil
}
