package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// Surroundings are what one connection is checked against, where it does not
// come with the rest of a file.
type Surroundings struct {
	// Plugins are the linked connectors.
	Plugins []framework.Plugin
	// Projects are those that exist, besides "default".
	Projects []string
	// Streams lists the streams of a project that sinks may subscribe to. Nil
	// leaves subscriptions unchecked.
	Streams func(project string) []StreamRef
	// Lookup returns what a reference stands for, see package reference.
	Lookup func(reference string) (string, error)
	// PublicURL is that of the server; some webhook schemes sign it.
	PublicURL string
	// Retention is what is kept of connections that say nothing else.
	Retention store.Retention
}

// CheckDocument checks one connection as an entry of connections in a file is
// checked: document holds what JSON decodes to, numbers as [json.Number], under
// the same keys. Warnings refuse nothing. Its error is [Problems], each with the
// path of the value that it is about.
func CheckDocument(document map[string]any, s Surroundings) (c Connection, warnings Problems, err error) {
	r := &reader{
		resolve: &resolver{lookup: s.Lookup}, streams: map[string][]StreamRef{}, unsure: map[string]bool{},
		publicURL: s.PublicURL, strict: true, paths: []string{"", ""},
	}
	f := &File{Retention: s.Retention}
	for _, name := range s.Projects {
		f.Projects = append(f.Projects, Project{Name: name})
	}
	r.connection(r.node(document, "", 0), f, s.Plugins)
	if s.Streams != nil {
		r.subscriptions(s.Streams)
	}
	if len(r.problems) > 0 {
		return Connection{}, nil, r.tidy(r.problems)
	}
	return f.Connections[0], r.tidy(r.warnings), nil
}

// node returns a value as the reader walks it. Its line stands for its path.
func (r *reader) node(value any, path string, depth int) *yaml.Node {
	n := scalar(value)
	n.Line = len(r.paths)
	r.paths = append(r.paths, path)
	switch v := value.(type) {
	case map[string]any:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if depth > maxDepth+8 {
				break // what reads it has reported it before it comes here
			}
			below := joinPath(path, name)
			key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: len(r.paths)}
			r.paths = append(r.paths, below)
			n.Content = append(n.Content, key, r.node(v[name], below, depth+1))
		}
	case []any:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		for i, one := range v {
			if depth > maxDepth+8 {
				break
			}
			n.Content = append(n.Content, r.node(one, path+"["+strconv.Itoa(i)+"]", depth+1))
		}
	}
	return n
}

// scalar returns the node of a value that is neither a map nor a list.
func scalar(value any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch v := value.(type) {
	case nil:
		n.Tag, n.Value = "!!null", "null"
	case string:
		n.Tag, n.Value = "!!str", v
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(v)
	default:
		n.Tag, n.Value = "!!int", fmt.Sprint(v)
		if number, ok := v.(json.Number); ok {
			n.Value = number.String()
		}
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	}
	return n
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// plainOf returns what stands in a node, references as they are written. It is
// called for nodes that were read before, so aliases stand for little.
func plainOf(n *yaml.Node, depth int) any {
	n = plain(n)
	if depth > maxDepth+8 {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plainOf(n.Content[i+1], depth+1)
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, entry := range n.Content {
			list = append(list, plainOf(entry, depth+1))
		}
		return list
	default:
		if n.Tag == "!!str" {
			return n.Value
		}
		var v any
		if n.Decode(&v) != nil {
			return n.Value
		}
		return v
	}
}
