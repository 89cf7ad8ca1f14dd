// Package httpauth authenticates outgoing requests from settings: bearer and
// basic credentials, API keys, OAuth 2 with client credentials or a refresh
// token, AWS Signature Version 4, and HMAC signatures of a form of their own.
// A client certificate belongs to the TLS settings of the client.
//
// Tokens are fetched through the connection's guarded client, kept until
// shortly before they end, and fetched once at a time.
package httpauth
