// Package need says out loud when a test of this module cannot run here: a browser or a fixture
// is missing. It is the source of framework/internal/testneed, which this module cannot import; a
// test in tools/walls holds the two equal, and the tests stand there.
package need
