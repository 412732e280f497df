// Package server runs PostgreSQL on a restored directory and proves where its recovery ended: by the server's own log,
// by pg_control, by the new timeline's history file and, where a session can be had, by asking it.
package server
