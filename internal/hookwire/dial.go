package hookwire

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// How long the hook waits for who listens: to take the call, and to end it. What takes longer than the latter is no
// longer believed to come, and PostgreSQL asks again.
const (
	dialTimeout   = time.Second
	answerTimeout = 5 * time.Minute
)

// Dial connects to a Unix socket, with the kernel's own timeouts (socket(7), SO_RCVTIMEO). Package net would do it too, but
// it takes longer to start than all the rest of this program, and where there is a C compiler links its library.
func Dial(path string) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	conn := os.NewFile(uintptr(fd), path)
	for option, patience := range map[int]time.Duration{syscall.SO_SNDTIMEO: dialTimeout, syscall.SO_RCVTIMEO: answerTimeout} {
		timeout := syscall.NsecToTimeval(patience.Nanoseconds())
		err = errors.Join(err, syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, option, &timeout))
	}
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
