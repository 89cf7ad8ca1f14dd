// Package client is where the test puts the client that it has generated; nothing
// of it is kept.
package client
