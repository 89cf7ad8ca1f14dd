// Package httpbin tests connections of class http, sources and sinks, against
// go-httpbin, an HTTP server that is not ours: statuses, delays, redirects,
// compression, credentials, links, streams and drips. The server runs inside of the
// test, on loopback and on a port that the system chooses.
package httpbin
