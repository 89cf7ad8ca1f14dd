// Package stripemock runs Stripe's own mock of its API inside a test: every path and parameter is
// checked against Stripe's OpenAPI description, and the answers are Stripe's fixtures. It keeps no
// state, and its lists have one page.
package stripemock
