package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"lifeboat/cmd/internal/area"
	"lifeboat/internal/hookwire"
)

// askAhead lets the process that fetches ahead for the recovery in this directory bring the file, where there is one. That
// puts it into its own area, and only this process moves it to where PostgreSQL looks: so what comes late, after PostgreSQL
// has asked for another file, harms nobody.
func (h hook) askAhead(config, cluster string, operands []string) (code int, answered bool) {
	if h.op != hookwire.Fetch {
		return 0, false
	}
	directory, err := syscall.Getwd()
	if err != nil {
		return 0, false
	}
	for _, a := range area.Find(directory) {
		if !answered {
			code, answered = h.askIn(a, config, cluster, operands)
		}
		_ = a.Close() // it was only read
	}
	return code, answered
}

func (h hook) askIn(a *area.Area, config, cluster string, operands []string) (code int, answered bool) {
	name, destination := operands[0], operands[1]
	hand := a.Hand(os.Getpid())
	request, err := h.request(config, cluster, []string{name, hand})
	if err != nil {
		return 0, false
	}
	answer, err := converse(a.Socket(), request)
	switch {
	case err != nil:
		return 0, false
	case answer.Outcome == hookwire.Absent:
		return exitFailed, true
	case answer.Outcome != hookwire.Done:
		return 0, false
	}
	if err := move(hand, destination); err != nil {
		_ = os.Remove(hand) // a failed move has told why in vain: the file is fetched anew
		return 0, false
	}
	return exitDone, true
}

// move puts a file at its destination by one rename, where they lie on different file systems of a copy beside it.
func move(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	defer os.Remove(from)
	// A fetch to the same place knows this name, should this process be killed.
	out, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".lifeboat-"+strconv.Itoa(os.Getpid())+"-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}
