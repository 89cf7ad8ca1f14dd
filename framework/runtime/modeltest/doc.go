// Package modeltest holds the runtime to its largest promise with a model: the
// state that a receiver builds from the log is the provider's own, for every
// entity, whatever happened on the way. Nothing lost and nothing twice is a
// promise about meaning; counting rows does not show that it holds.
//
// The package has tests only. Each test case is a random story (package rapid)
// that is told to the real parts: the scheduler, the webhook intake with real
// signatures, a connector, and a SQLite store in a folder. Only the network is
// left out: both directions are calls within the process.
//
// # What happens in a story
//
// The provider creates, updates, reverts, deletes and re-creates objects,
// between pages and while a page is on its way. Its webhooks wait in the mail and
// arrive late, doubled, in any order. Pages are read one at a time, by whole
// runs, and a second time from the beginning while the live cursor is
// elsewhere. Backfills read ranges, with live pages in their midst, and are
// resumed when they have failed; live cursors are reset. Commits fail before they are written, or after, with their answer
// lost. Handlers fail for a while. The process is restarted, the connection is
// deleted and made again under its name, the store is restored from a backup.
//
// # What is asked
//
// The receiver reads the log by sequence and keeps the newest state: it skips
// events that are late, and applies the others in order. On the way sequences
// must be gapless, no key may come twice, and an id must name one event for
// ever. No webhook may be answered 2xx, or called a duplicate, before it is
// in the store. At the end the mail is delivered, failed handlers are called
// again and the polls run to their end. Then the receiver must have what the
// provider has, to the byte, and every webhook must be in the log once.
//
// What cannot be known is left out by exact rules and not by tolerance: see
// lostDeletions and untold. For those entities the receiver must have what the
// newest surviving observation said. docs/decisions/0004-meaning.md says why.
//
// Set -rapid.checks for more stories; WEIR_TEST_ALL=1 tells ten times as many.
package modeltest
