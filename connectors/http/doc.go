// Package http is the connector that needs no Go: its streams come from the
// settings of a connection. It polls JSON, NDJSON or CSV from HTTP APIs, page by
// page, or receives webhooks.
//
// The settings say what is asked for (request.go), how it is paged (paging.go),
// where the records are and what names their versions (records.go). Expressions
// are jq (framework/expr), and what they only select is recorded byte for byte.
// docs/http.md lists every setting with examples.
package http
