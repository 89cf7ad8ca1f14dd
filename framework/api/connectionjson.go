package api

import (
	"bytes"
	"context"
	"encoding/json"
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

// MarshalJSON writes the connection with what runs of it.
func (c configuredRow) MarshalJSON() ([]byte, error) {
	if c.Type != connection.TypeSink && len(c.Streams) == 0 {
		c.Streams = c.running
	}
	view, err := c.View.MarshalJSON()
	if err != nil {
		return nil, err
	}
	endpoints, err := json.Marshal(map[string]any{"endpoints": c.endpoints})
	if err != nil {
		return nil, err
	}
	return append(append(bytes.TrimSuffix(view, []byte("}")), ','), endpoints[1:]...), nil
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
