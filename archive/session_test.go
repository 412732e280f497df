package archive

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/pgtest"
)

func open(t *testing.T, c *pgtest.Cluster) *session {
	t.Helper()
	s, err := openSession(t.Context(), func(ctx context.Context) (*pgx.Conn, error) { return c.Connect(ctx, "postgres") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(context.Background()) })
	return s
}

func TestWatchEndsWithTheSession(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Newest(t), pgtest.Options{})
	s := open(t, c)
	c.Exec(t.Context(), "SELECT pg_terminate_backend($1::text::int)", c.Value(t.Context(),
		"SELECT pid FROM pg_stat_activity WHERE application_name = 'lifeboat backup'"))
	err := s.watch(t.Context(), time.Millisecond, nil)
	if err == nil || !strings.Contains(err.Error(), "the backup is invalid") {
		t.Errorf("error is %v", err)
	}
}

func TestWatchEndsWhenItIsDone(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.Start(t, pgtest.Newest(t), pgtest.Options{}))
	done := make(chan struct{})
	close(done)
	if err := s.watch(t.Context(), time.Hour, done); err != nil {
		t.Error(err)
	}
	if err := s.alive(t.Context()); err != nil {
		t.Errorf("the session does not live on: %v", err)
	}
}

// A role's settings must not end a session that waits for hours.
func TestSessionIsShieldedFromTheRolesSettings(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		c := pgtest.Start(t, install, pgtest.Options{})
		settings := map[string]string{"search_path": "pg_catalog"}
		for _, limit := range timeouts(install) {
			settings[limit] = "0"
		}
		for name, want := range settings {
			c.Exec(t.Context(), "ALTER ROLE postgres SET "+name+" = '1000000'")
			if others := c.Value(t.Context(), "SHOW "+name); others == want {
				t.Errorf("%s is %s for the role already", name, others)
			}
		}
		s := open(t, c)
		for name, want := range settings {
			var got string
			if err := s.conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	})
}

// timeouts are the settings that end a statement or a session after a time; 0 means never.
func timeouts(install pgtest.Install) []string {
	list := []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
	if install.Major >= 14 {
		list = append(list, "idle_session_timeout")
	}
	if install.Major >= 17 {
		list = append(list, "transaction_timeout")
	}
	return list
}

func TestUnreachableServerIsExplained(t *testing.T) {
	t.Parallel()
	_, err := openSession(t.Context(), func(ctx context.Context) (*pgx.Conn, error) {
		return pgx.Connect(ctx, "host=/nonexistent user=nobody")
	})
	var operator *OperatorError
	if !errors.As(err, &operator) || operator.Hint == "" {
		t.Errorf("error is %v", err)
	}
}
