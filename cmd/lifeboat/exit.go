package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/cmd/internal/config"
	"lifeboat/restore"
	"lifeboat/storage/catalog"
)

// The exit codes that scripts rely on; archive-get has its own (see archive_get.go).
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2 // wrong usage or configuration
	exitFail        = 3 // verdict fail, or corruption found
	exitUnproven    = 4 // verdict unproven
	exitUnreachable = 5 // the recovery target cannot be reached
)

// codeError is an outcome that has been told in full and only needs its exit code.
type codeError struct{ code int }

func (e *codeError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usageError is a command line that cannot be carried out as it is written.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// codeOf finds the exit code that an error stands for.
func codeOf(err error) int {
	var (
		told        *codeError
		usage       *usageError
		settings    *config.Error
		unreachable *restore.UnreachableError
		damaged     *catalog.DamagedError
		unsigned    *catalog.UnsignedError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &told):
		return told.code
	case errors.As(err, &usage), errors.As(err, &settings):
		return exitUsage
	case errors.As(err, &unreachable):
		return exitUnreachable
	case errors.As(err, &damaged), errors.As(err, &unsigned):
		return exitFail
	}
	return exitError
}

// explain writes an error as the operator should read it: one sentence, then what to do where that is known.
func (a *app) explain(ctx context.Context, err error) {
	var told *codeError
	if errors.As(err, &told) {
		return
	}
	if ctx.Err() != nil {
		a.errors.Printf("lifeboat: stopped on request; nothing was left half-done\n")
		return
	}
	a.errors.Printf("lifeboat: %v\n", err)
	if hint := hintOf(err); hint != "" {
		a.errors.Printf("  hint: %s\n", strings.ReplaceAll(hint, "\n", "\n        "))
	}
}
