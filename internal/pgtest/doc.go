// Package pgtest starts throwaway PostgreSQL clusters for tests.
//
// A cluster listens on a socket in a private directory and on nothing else, runs under an unprivileged user
// when the test runs as root, and is gone when the test ends: stopped and removed by the test's cleanup, or
// by the kernel (a parent-death signal) when the test binary itself is killed. Directories that a killed
// test binary left behind are removed by the next one.
//
// Everything lies under one directory per user below the system's temporary directory: templates made by
// initdb, which tests of all packages copy, and one directory per test process.
package pgtest
