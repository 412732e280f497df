// Package hookwire is what the hook that PostgreSQL runs and the process that serves it say to each other on a Unix
// socket: one request and one answer for each connection, each of them one line.
//
// It is linked into a program that starts for every WAL file, and so keeps to a few small packages.
package hookwire
