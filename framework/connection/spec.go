package connection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/trigger"
)

// Types of a connection.
const (
	TypeSource  = "source"
	TypeSink    = "sink"
	TypeTrigger = "trigger"
)

// Spec is what a connection is configured to be. Its JSON form has the keys of an
// entry of connections in weir.yaml.
type Spec struct {
	Project     string `json:"project"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName,omitempty"`
	Description string `json:"description,omitempty"`
	// Connector is the key of the connector, Type one of the types above.
	Connector string `json:"connector"`
	Type      string `json:"type"`
	Enabled   bool   `json:"enabled"`
	// Streams are those that a source runs, none for all, or what a sink
	// subscribes to.
	Streams []string `json:"streams,omitempty"`
	// Start says where a sink begins in a stream that is new to it.
	Start string `json:"start,omitempty"`
	// Config are the connector's settings in canonical form, references as they
	// were written, secrets sealed or as "***".
	Config map[string]any    `json:"config"`
	Labels map[string]string `json:"labels,omitempty"`
	// Extra is kept for a door that has more to say, and means nothing here.
	Extra map[string]string `json:"extra,omitempty"`
	// More are the keys that this type leaves as they were written: rate_limit,
	// budget, retention, endpoints.
	More map[string]any `json:"-"`
	// keptFor is the id of the connection that secrets in it are sealed for; "" when
	// it was only written.
	keptFor string
}

// more are the keys in [Spec.More], in the order in which UnmarshalJSON names them.
var more = []string{"rate_limit", "budget", "retention", "endpoints"}

// MarshalJSON writes the canonical form: keys in one order, nothing escaped that
// need not be.
func (s Spec) MarshalJSON() ([]byte, error) { return encodeObject(s.parts()...) }

// parts are objects that are the spec together.
func (s Spec) parts() []any {
	type plain Spec
	if s.Config == nil {
		s.Config = map[string]any{}
	}
	if len(s.More) == 0 {
		return []any{plain(s)}
	}
	return []any{plain(s), s.More}
}

// UnmarshalJSON reads what MarshalJSON has written.
func (s *Spec) UnmarshalJSON(b []byte) error {
	type plain Spec
	all := struct {
		*plain
		RateLimit json.RawMessage `json:"rate_limit"`
		Budget    json.RawMessage `json:"budget"`
		Retention json.RawMessage `json:"retention"`
		Endpoints json.RawMessage `json:"endpoints"`
	}{plain: (*plain)(s)}
	if err := decodeInto(b, &all); err != nil {
		return err
	}
	s.More = nil
	for i, raw := range []json.RawMessage{all.RateLimit, all.Budget, all.Retention, all.Endpoints} {
		if raw == nil {
			continue
		}
		var v any
		if err := decodeInto(raw, &v); err != nil {
			return err
		}
		if s.More == nil {
			s.More = map[string]any{}
		}
		s.More[more[i]] = v
	}
	return nil
}

func decodeInto(b []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("decode connection: %w", err)
	}
	return nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("encode connection: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// appendObject writes objects, of which none is empty, as one. Who encodes values
// that marshal themselves has each of them read once more.
func appendObject(b *bytes.Buffer, parts ...any) error {
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	for i, part := range parts {
		at := b.Len()
		if err := encoder.Encode(part); err != nil {
			return fmt.Errorf("encode connection: %w", err)
		}
		b.Truncate(b.Len() - len("}\n"))
		if i > 0 {
			b.Bytes()[at] = ','
		}
	}
	return b.WriteByte('}')
}

func encodeObject(parts ...any) ([]byte, error) {
	var b bytes.Buffer
	err := appendObject(&b, parts...)
	return b.Bytes(), err
}

// document is the spec as JSON decodes it, for checks.
func (s Spec) document() (map[string]any, error) {
	b, err := encode(s)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	var out map[string]any
	return out, decoder.Decode(&out)
}

// SpecOf returns the canonical spec of a connection that was checked, from its
// document: a file or an API gives the same.
func SpecOf(c config.Connection, plugins []framework.Plugin) (Spec, error) {
	s := Spec{
		Project: c.Project, Name: c.Name, DisplayName: c.DisplayName, Description: c.Description, Connector: c.Connector, Type: c.Type,
		Enabled: c.Enabled, Streams: slices.Clone(c.Streams), Start: string(c.Start), Labels: maps.Clone(c.Labels), Extra: maps.Clone(c.Extra),
	}
	written, _ := c.Document["config"].(map[string]any)
	if c.Document == nil {
		written = c.Settings
	}
	s.Config = maps.Clone(written)
	if s.Config == nil {
		s.Config = map[string]any{}
	}
	plugin, ok := pluginOf(plugins, c.Connector, c.Type)
	if ok && c.Type != TypeSource {
		canonical, err := plugin.Canonical(s.Config)
		if err != nil {
			return Spec{}, fmt.Errorf("connection %q: %w", c.Name, err)
		}
		s.Config = canonical
	}
	if stream, given := c.Document["stream"]; given && ok && plugin.Dynamic() && c.Type == TypeSource {
		s.Config["stream"] = stream
	}
	for _, key := range more {
		if v, given := c.Document[key]; given {
			if s.More == nil {
				s.More = map[string]any{}
			}
			s.More[key] = v
		}
	}
	// By way of JSON, so that two doors give the same Go values.
	b, err := encode(s)
	if err != nil {
		return Spec{}, err
	}
	var out Spec
	return out, json.Unmarshal(b, &out)
}

// pluginOf finds a connector, as what checks settings of the type.
func pluginOf(plugins []framework.Plugin, connector, kind string) (framework.Plugin, bool) {
	if kind == TypeTrigger {
		return trigger.Plugin, true
	}
	i := slices.IndexFunc(plugins, func(p framework.Plugin) bool { return p.Key() == connector })
	if i < 0 {
		return framework.Plugin{}, false
	}
	if kind == TypeSink {
		return plugins[i].AsSink()
	}
	return plugins[i], true
}

// Slug returns the name nearest to text that is a valid one, or "".
func Slug(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 63 {
			break
		}
	}
	return strings.Trim(b.String(), "-_")
}

// Merge applies a JSON Merge Patch (RFC 7396) to a document.
func Merge(target, patch map[string]any) map[string]any {
	out := maps.Clone(target)
	if out == nil {
		out = map[string]any{}
	}
	for name, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			below, _ := out[name].(map[string]any)
			out[name] = Merge(below, v)
		default:
			out[name] = v
		}
	}
	return out
}
