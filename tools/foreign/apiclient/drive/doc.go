// Command drive takes a connection through its life with the generated client. It
// is built by the test alone, with the tag generated.
package main
