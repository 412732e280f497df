package hookwire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
)

// Receive asks on a socket for a WAL file that is handed over opened, and puts a copy to its destination by one rename. Only
// after Done is there anything at the destination. An error says that nothing is known about the file.
func Receive(socket, name, destination string) (Answer, error) {
	conn, err := Dial(socket)
	if err != nil {
		return Answer{}, fmt.Errorf("ask at %s: %w", socket, err)
	}
	defer conn.Close()
	if err := WriteRequest(conn, Request{Op: Hand, Name: name}); err != nil {
		return Answer{}, err
	}
	answer, file, err := readHand(int(conn.Fd()))
	if file != nil {
		defer file.Close()
	}
	switch {
	case err != nil:
		return Answer{}, err
	case answer.Outcome != Done:
		return answer, nil
	case file == nil:
		return Answer{}, errors.New("the answer came without the file")
	}
	return answer, put(file, destination)
}

// readHand reads an answer and the file that may come with it.
func readHand(conn int) (Answer, *os.File, error) {
	var file *os.File
	var line []byte
	buffer, control := make([]byte, maxLine), make([]byte, syscall.CmsgSpace(4)) // room for one descriptor
	for !bytes.HasSuffix(line, []byte{'\n'}) {
		n, controlled, _, _, err := syscall.Recvmsg(conn, buffer, control, syscall.MSG_CMSG_CLOEXEC)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err == nil && controlled > 0 && file == nil {
			file, err = handed(control[:controlled])
		}
		if err != nil {
			return Answer{}, file, fmt.Errorf("read the answer: %w", err)
		}
		line = append(line, buffer[:n]...)
	}
	answer, err := ReadAnswer(bufio.NewReader(bytes.NewReader(line)))
	return answer, file, err
}

func handed(control []byte) (*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	descriptors, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(descriptors) == 0 {
		return nil, err
	}
	return os.NewFile(uintptr(descriptors[0]), "handed over"), nil
}

// put copies a file to its destination, whole or not at all.
func put(file *os.File, destination string) error {
	temporary := destination + ".lifeboat-" + strconv.Itoa(os.Getpid())
	out, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, file)
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(temporary, destination)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}
