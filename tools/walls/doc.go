// Package walls holds the shape of the repository by tests: which package may import which, where
// a database driver may be linked, what stands at the top level, how long a file may be, where an
// HTTP client is made. Each test names every offender with the reason, so that whoever moved the
// wall by accident reads what it is for.
//
// The tests read what `go list -deps -json` says of the packages, and what git says of the files;
// nothing here is shipped. A package that does not exist breaks no wall.
package walls
