// Package signatures holds the presets of webhook endpoints against the implementations of others:
// the Go SDKs of Stripe, GitHub, Slack, Twilio, Svix and Standard Webhooks, the npm packages of
// Square, Discord, SendGrid, Amazon SNS and Standard Webhooks, and OpenSSL for those whose provider
// publishes no signer that runs here. PayPal's libraries ask its API, so its documented formula
// stands for them, with the digests and checksums of Node.
package signatures
