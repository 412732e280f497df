// Package restore brings a cluster back from the repository: it checks a recovery target against what can be
// reached, plans the restore as a value that can be printed and asserted on, carries the plan out, and serves
// PostgreSQL's restore_command. Running the server on what was restored is the work of package server below it.
package restore
