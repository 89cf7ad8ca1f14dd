// Package cataloglock keeps what connections rely on: which streams, cursors,
// endpoints and identities the linked connectors had when somebody last looked.
//
// A [Lock] is made from the source ([Lock.Encode] is its file, catalog.lock.json)
// and compared with a later one by [Compare]. What a later version of a connector
// takes away from connections that already have checkpoints is a [Change]; it
// is either made good in the code, or accepted with a reason, which stays in the
// lock ([Acceptance]).
package cataloglock
