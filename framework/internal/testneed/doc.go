// Package testneed says out loud when a test cannot run here: a browser, a database server or a
// fixture is missing, or the test is one of the long ones that only `make test-all` runs.
//
// A skip that nobody sees is a test that nobody has. So a missing thing skips the test with one
// line that names the thing and the way to get it, the line is also appended to the file that
// WEIR_TEST_SKIPS names (the Makefile prints that file at the end, since `go test` hides the
// skips of packages that pass), and with CI=true it is a failure.
//
// The module tools/foreign cannot import this package; tools/foreign/need is the same source, and
// a test in tools/walls holds the two equal.
package testneed
