// Package sqlite keeps a store in one SQLite file, through mattn/go-sqlite3, or
// in a build without cgo through modernc.org/sqlite, which needs no C compiler.
// The files are the same.
//
// # Files
//
// A store is a folder that holds weir.db, its write-ahead log weir.db-wal, and
// weir.lock. The lock belongs to the process that has the store open and names
// it; it vanishes with the process. Every [Open] raises the store's epoch, so
// whatever an earlier process left behind is fenced.
//
// # Durability
//
// The file is in WAL mode with synchronous=FULL (and fullfsync on macOS): a
// commit returns after the log is on disk. One connection writes, from the one
// goroutine of package groupcommit; a pool of read-only connections reads
// beside it, each query with a deadline. The log is copied back into the file by
// a connection of its own, off the path of commits, unless it grows past
// [walLimit].
//
// After a commit with an unknown outcome the writer is replaced and the log is
// copied into the file and emptied, with a sync of the file, before the store
// is asked whether the commit is there. A failed sync may have left pages in the
// system's cache that never reach the disk; copying writes them once more. And
// a half-committed end of the log cannot come back after a crash, because there
// is no log any more.
//
// # Size
//
// Rows that expire or whose connection was deleted are removed at most
// [trimRows] a transaction, and the pages they free are given back to the file
// system (auto_vacuum=INCREMENTAL).
package sqlite
