// Package archive takes a live cluster into the repository: Push stores one file of WAL for archive_command, Backup takes
// a base backup by reading the data directory beside the server. What either acknowledges is durable and was proven
// sound first.
package archive
