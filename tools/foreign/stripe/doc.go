// Package stripe reads Stripe's own mock of its API with the stripe connector, and sends the
// connector webhooks that Stripe's own SDK signs.
package stripe
