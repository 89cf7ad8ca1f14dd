// Package intake receives webhook deliveries over HTTP: at
// /webhooks/{connection}/{path} for project "default" and at
// /p/{project}/webhooks/{connection}/{path} for every project.
//
// # A delivery's way
//
//	path -> method -> encoding -> body within its limit -> signature over the raw bytes
//	     -> delivery key -> handler, within its deadline -> one store unit -> answer
//
// A 2xx is sent only after the store has acknowledged the unit, which is after
// it is durable. The unit holds the events and the delivery's key together, so
// a delivery that is sent again, even at the same moment, adds nothing.
//
// # What a failing handler means
//
// Providers differ in what they do with a 5xx: some never send again, some
// unsubscribe. So a verified delivery whose handler fails, panics or is late is
// stored as it came and answered 2xx, and its handler is called again by
// [Handler.Run]: after one to two minutes first, then after a random wait whose
// bound doubles up to an hour, until three days have passed and at least twelve
// calls were made. What then still fails, and what the handler calls permanent,
// is a dead letter: kept with its reason. A 503 means that it could not be
// stored; the sender must send it again.
//
// A delivery that was handled reserves its key even when the handler emitted
// nothing: to ignore it was the handler's decision, and it would be the same
// again. A delivery that was refused reserves nothing, so nobody without the
// secret can make a later delivery look like a duplicate.
//
// # Limits
//
// Bodies are bounded by bytes that were read, whatever Content-Length says; all
// bodies in flight together by 128 MiB, half of it for one connection; the time
// to send a body by 30 s; handlers at work by 64 an endpoint. When all of these
// are at work for a second, the delivery is stored and handled later.
// Refused requests are counted, sampled in the log, and never stored.
//
// # Trust
//
// Nothing depends on Host, Forwarded or X-Forwarded-* headers, and handlers do
// not see them. The handler of this package never redirects; mount it on a
// router that does not clean paths (not http.ServeMux, which answers 307 for
// "//").
package intake
