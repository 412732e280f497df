// Command delay passes connections on to another address, and holds each byte back on its way there for a while, as a
// network of that latency does; it does not narrow the way. It prints the port that it listens on.
//
//	delay ADDRESS DURATION
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

func main() {
	latency, err := time.ParseDuration(os.Args[2])
	if err == nil {
		err = serve(os.Args[1], latency)
	}
	fmt.Fprintln(os.Stderr, "delay:", err)
	os.Exit(1)
}

func serve(address string, latency time.Duration) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go pass(client, address, latency)
	}
}

func pass(client net.Conn, address string, latency time.Duration) {
	defer client.Close()
	time.Sleep(latency) // of the handshake
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	held := make(chan piece, 1<<12)
	go hold(client, held, latency)
	for p := range held {
		time.Sleep(time.Until(p.due))
		if _, err := server.Write(p.bytes); err != nil {
			return
		}
	}
}

// piece is some bytes and when they are to arrive.
type piece struct {
	due   time.Time
	bytes []byte
}

func hold(from net.Conn, held chan<- piece, latency time.Duration) {
	defer close(held)
	for {
		buffer := make([]byte, 64<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			held <- piece{time.Now().Add(latency), buffer[:n]}
		}
		if err != nil {
			return
		}
	}
}
