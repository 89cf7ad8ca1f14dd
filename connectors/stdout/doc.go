// Package stdout is a sink that prints events to standard output, one line each,
// for a first look: `weir run | jq`.
package stdout
