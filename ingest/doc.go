// Package ingest is how a connector hands records to Weir.
//
// A sync route or webhook handler emits canonical events into a [Buffer] with
// [Canonical] and [Delete]. The framework commits the buffer after the handler
// returned: all of it together with the checkpoint, or nothing. A handler never
// sees the database.
//
// Every emission carries an idempotency [Key], which names one version of one
// entity. The log keeps one event a key for ever, so a page that is read twice
// or a webhook that is delivered twice adds nothing:
//
//	ingest.VersionKey(id, version)  the provider tells versions apart (updated_at, etag, event id)
//	ingest.LatestKey(id)            it does not: the payload is compared with the entity's latest
//	ingest.EventKey(id)             a fact that never changes, such as a log entry
//
// Update, update back, delete and create again are four versions and so four
// events.
package ingest
