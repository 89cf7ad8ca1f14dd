// Package api serves the management API and stands guard before every face of
// the process.
//
// [New] makes the API itself: streams, events, runs, connections, probes and the
// feed of changes. [NewGate] makes the guard. [Gate.Handler] puts the guard
// before the API, the dashboard and whatever else the runtime serves, and
// refuses to start when one of them serves a route that has no row in the table
// of [Routes].
//
// The row of a route decides who may call it, how large its body and how long
// its answer may be, and to which face it belongs. A request goes through:
//
//  1. the headers that every answer carries (a strict content security policy,
//     nosniff, no-referrer, no framing);
//  2. the row of its route; without one there is nothing behind it: 404, or 405
//     with Allow;
//  3. the Host check of a loopback listener, against DNS rebinding, and the
//     cross-origin check, against forged requests: both for all faces but the
//     intake of webhooks and triggers;
//  4. the admin token or a session, when a token is configured;
//  5. the limit of the body and the deadline.
//
// Every error is a problem document (RFC 9457), also those of the guard. A
// browser that asks for a page gets a page.
package api
