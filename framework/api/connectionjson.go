package api

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework/connection"
)

// write and move are operations of a desk.
type (
	write = func(ctx context.Context, project, name string, document map[string]any, q connection.Request) (connection.View, error)
	move  = func(ctx context.Context, project, name string, revision int64, q connection.Request) (connection.View, error)
)

// appendTo writes the connection with what runs of it.
func (c configuredRow) appendTo(b *bytes.Buffer) error {
	if c.Type != connection.TypeSink && len(c.Streams) == 0 {
		c.Streams = c.running
	}
	return c.AppendJSON(b, struct {
		Endpoints []endpointRow `json:"endpoints"`
	}{c.endpoints})
}

// oneOf reads a word.
func (q *query) oneOf(name string, words ...string) string {
	text, ok := q.text(name)
	if ok && !slices.Contains(words, text) {
		q.fault(name, "is %s; it must be one of %s", shown(text), strings.Join(words, ", "))
		return ""
	}
	return text
}

// labels reads name=value pairs, of which several may be given.
func (q *query) labels(name string) map[string]string {
	q.known = append(q.known, name)
	out := map[string]string{}
	for _, one := range url.Values(q.values)[name] {
		label, value, ok := strings.Cut(one, "=")
		if !ok || label == "" {
			q.fault(name, "is %s; it must be a label and its value, such as team=a", shown(one))
			continue
		}
		out[label] = value
	}
	return out
}
