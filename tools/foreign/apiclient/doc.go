// Package apiclient drives the management API with a client that a foreign
// generator has made from the API's own description.
package apiclient
