package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Document is the input of expressions. It is not safe for concurrent use.
type Document struct {
	raw     json.RawMessage
	decoded any
	root    *node
}

// Parse reads one JSON value.
func Parse(raw []byte) (*Document, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var decoded any
	if err := decoder.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: something stands after the first value")
	}
	return &Document{raw: bytes.TrimSpace(raw), decoded: decoded}, nil
}

// Of returns a document of a plain Go value: nil, truth values, int, float64,
// json.Number, string, and []any and map[string]any of these.
func Of(value any) *Document { return &Document{decoded: value} }

// node is a part of the document's text, taken apart when it is asked for.
type node struct {
	raw     json.RawMessage
	parsed  bool
	members map[string]*node
	list    []*node
}

// at returns what stands at a path, as bytes and decoded; null where nothing
// does. ok is false for a path that names no one place, such as a slice.
func (d *Document) at(path []any) (raw json.RawMessage, decoded any, ok bool) {
	if d.root == nil {
		d.root = &node{raw: d.raw}
	}
	here, decoded := d.root, d.decoded
	for _, step := range path {
		if here == nil {
			return json.RawMessage("null"), nil, true
		}
		here.parse()
		switch step := step.(type) {
		case string:
			members, _ := decoded.(map[string]any)
			here, decoded = here.members[step], members[step]
		case int:
			list, _ := decoded.([]any)
			if step < 0 {
				step += len(list)
			}
			if step < 0 || step >= len(list) || step >= len(here.list) {
				return json.RawMessage("null"), nil, true
			}
			here, decoded = here.list[step], list[step]
		default:
			return nil, nil, false
		}
	}
	if here == nil {
		return json.RawMessage("null"), nil, true
	}
	return here.raw, decoded, true
}

func (n *node) parse() {
	if n.parsed {
		return
	}
	n.parsed = true
	switch {
	case len(n.raw) == 0:
	case n.raw[0] == '{':
		var members map[string]json.RawMessage
		if json.Unmarshal(n.raw, &members) != nil {
			return
		}
		n.members = make(map[string]*node, len(members))
		for name, raw := range members {
			n.members[name] = &node{raw: raw}
		}
	case n.raw[0] == '[':
		var list []json.RawMessage
		if json.Unmarshal(n.raw, &list) != nil {
			return
		}
		for _, raw := range list {
			n.list = append(n.list, &node{raw: raw})
		}
	}
}

// Value returns the whole document as a value.
func (d *Document) Value() Value { return Value{raw: d.raw, decoded: d.decoded} }
