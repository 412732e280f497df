package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"

	"lifeboat/internal/hookwire"
)

// pingPatience is how long check waits for the agent.
const pingPatience = 5 * time.Second

// checkAgent asks whether the agent answers, and says what rests on it.
func (k *checker) checkAgent(ctx context.Context) {
	c, socket := k.scene.config, k.scene.settings.Agent.Socket
	answer, err := ping(ctx, socket, k.scene.settings.Path)
	const mend = "systemctl start lifeboat-agent, or run 'lifeboat agent' as the owner of the data directory"
	switch {
	case err == nil && answer.Outcome == hookwire.Done:
		k.add("agent", "pass", "", "it answers on %s", socket)
	case err == nil:
		k.add("agent", "warn", mend, "who answers on %s does not serve this configuration: %s", socket, answer.Detail)
	case c.WAL.Stream:
		k.add("agent", "fail", mend, "none answers on %s, so no WAL is streamed", socket)
	case c.Backup.Schedule.Schedule != nil || c.Census.Schedule.Schedule != nil:
		k.add("agent", "warn", mend, "none answers on %s: hooks work by themselves, and nothing is done on schedule", socket)
	default:
		k.add("agent", "pass", "", "none answers on %s: hooks work by themselves", socket)
	}
}

func ping(ctx context.Context, socket, config string) (hookwire.Answer, error) {
	conn, err := (&net.Dialer{Timeout: pingPatience}).DialContext(ctx, "unix", socket)
	if err != nil {
		return hookwire.Answer{}, fmt.Errorf("ask the agent: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(pingPatience)); err != nil {
		return hookwire.Answer{}, fmt.Errorf("ask the agent: %w", err)
	}
	if err := hookwire.WriteRequest(conn, hookwire.Request{Op: hookwire.Ping, Config: config}); err != nil {
		return hookwire.Answer{}, fmt.Errorf("ask the agent: %w", err)
	}
	return hookwire.ReadAnswer(bufio.NewReader(conn))
}
