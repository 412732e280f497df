package main

import (
	"io"
	"os"
	"os/signal"

	"lifeboat/internal/hookwire"
)

// receiveName is the command that a sandboxed server runs as its restore_command. It has no configuration, no network and
// nobody else to ask: it only asks for the file on a socket, and takes it.
const receiveName = "receive"

// receive exits as fetch does: 0, 1 (authoritatively absent) or 254.
func receive(args []string, stderr io.Writer) int {
	if len(args) != 3 {
		say(stderr, "lifeboat-wal receive: expects SOCKET NAME DEST\n")
		return exitUnknown
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, stopSignals()...)
	go func() {
		<-stop
		os.Exit(exitUnknown)
	}()
	answer, err := hookwire.Receive(args[0], args[1], args[2])
	switch {
	case err != nil:
		say(stderr, "lifeboat-wal receive: %v\n", err)
	case answer.Outcome == hookwire.Done:
		return exitDone
	case answer.Outcome == hookwire.Absent:
		return exitFailed
	default:
		say(stderr, "lifeboat-wal receive: %s\n", answer.Detail)
	}
	return exitUnknown
}
