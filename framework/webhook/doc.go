// Package webhook verifies who sent a webhook delivery, before any handler sees
// it, and signs deliveries for tests and for sending one by hand.
//
// A [Verifier] is made once for each revision of a connection from what the
// endpoint declares (catalog.EndpointSpec) and the secrets of the connection.
// It is immutable and safe for concurrent use. What providers do differently
// stands in one table of data (presets.go), not in code.
//
// # Fail closed
//
// [New] refuses an unknown mode, a scheme that would leave the body or the
// timestamp unsigned, and a missing, blank or short secret. A nil Verifier and
// the zero Verifier refuse every delivery. Whatever is wrong with a delivery,
// [Verifier.Verify] answers the same error, [ErrUnverified]; the reason is for
// the log only ([ReasonOf]) and never holds a secret or a signature.
//
// # Exactness
//
// Signatures are compared as the text that the scheme prescribes, in constant
// time, so a signature has one spelling only. A header that must be there once
// is refused when it is there twice. Every signature in a list counts, as
// senders sign with the old and the new secret while they rotate, and every
// secret of the connection is tried for the same reason. Timestamps are plain
// decimal seconds and may lie five minutes to either side.
package webhook
