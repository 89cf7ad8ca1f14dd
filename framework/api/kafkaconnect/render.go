package kafkaconnect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// render returns a connection as this face writes it. Keys that the caller wrote
// keep their spelling; defaults that nobody wrote are left out.
func (all classes) render(c Connection) map[string]string {
	config := map[string]string{}
	var spelled []string
	for key, text := range c.Extra {
		if key == keySpelled {
			spelled = split(text)
			continue
		}
		config[key] = text
	}
	config[keyName] = exactName(c)
	kind := all.sources[c.Connector]
	if c.Type == typeSink {
		kind = all.sinks[c.Connector]
	}
	if len(spelled) == 0 || slices.Contains(spelled, keyClass) {
		config[keyClass] = c.Connector
	}
	if slices.Contains(spelled, keyType) || len(spelled) == 0 && all.sinks[c.Connector] != nil && all.sources[c.Connector] != nil {
		config[keyType] = c.Type
	}
	if c.Start != "" {
		config[keyStart] = c.Start
	}
	renderStreams(config, c, spelled)
	if kind == nil {
		return config // the connector is not linked into this binary
	}
	written := map[string][]string{}
	for _, key := range spelled {
		canonical, err := kind.plugin.Canonical(map[string]any{key: ""})
		if err != nil {
			continue
		}
		kind.paths("", canonical, func(path string, _ any) { written[path] = append(written[path], key) })
	}
	kind.paths("", c.Settings, func(path string, value any) {
		keys := written[path]
		if len(keys) == 0 {
			if path == pathStrategy && value == defaultStrategy && len(spelled) > 0 {
				return // it was made here, and nobody wrote it
			}
			if s := kind.leaves[path]; s.Default != nil && plain(s.Default) == text(value) {
				return
			}
			key := path
			if named := spellings[path]; named != "" && c.Type == typeSink && c.Connector == classHTTP {
				key = named
			}
			keys = []string{key}
		}
		for _, key := range keys {
			if strings.HasPrefix(key, "callback.request.headers") {
				object, ok := headerObject(value)
				if !ok {
					config["headers"] = text(value)
					continue
				}
				config[key] = object
				continue
			}
			config[key] = text(value)
		}
	})
	return config
}

func renderStreams(config map[string]string, c Connection, spelled []string) {
	if len(c.Streams) == 0 {
		return
	}
	if regex := c.Streams[0]; len(c.Streams) == 1 && c.Type == typeSink && len(regex) > 1 && regex[0] == '/' && regex[len(regex)-1] == '/' {
		config[keyRegex] = regex[1 : len(regex)-1]
		return
	}
	key := keyTopics
	if c.Type != typeSink || slices.Contains(spelled, keyStream) && !slices.Contains(spelled, keyTopics) {
		key = keyStream
	}
	config[key] = strings.Join(c.Streams, ",")
}

// exactName is the name that the caller gave.
func exactName(c Connection) string {
	if name := c.Extra[keyName]; name != "" && connectionName(name) == c.Name {
		return name
	}
	return c.Name
}

// plain is a default as a caller would write it.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// text writes the value of a setting.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool, int, int64:
		return fmt.Sprint(v)
	case []any:
		var list []string
		for _, one := range v {
			s, ok := one.(string)
			if !ok || strings.Contains(s, ",") {
				return encode(v)
			}
			list = append(list, s)
		}
		return strings.Join(list, ",")
	default:
		return encode(v)
	}
}

func encode(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// headerObject writes a list of headers as an object, in their order. Headers
// that repeat have no such form.
func headerObject(value any) (string, bool) {
	list, ok := value.([]any)
	if !ok {
		return "", false
	}
	var b strings.Builder
	seen := map[string]bool{}
	b.WriteByte('{')
	for i, one := range list {
		header, _ := one.(map[string]any)
		name, named := header["name"].(string)
		content, valued := header["value"].(string)
		if !named || !valued || seen[name] {
			return "", false
		}
		seen[name] = true
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encode(name) + ":" + encode(content))
	}
	b.WriteByte('}')
	return b.String(), true
}
