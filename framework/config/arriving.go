package config

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Arriving says what a file meets that comes from elsewhere, where it arrives.
type Arriving struct {
	// Lookup returns what a reference stands for, see package reference.
	Lookup func(reference string) (string, error)
	// Projects are those that are there, besides "default" and those of the file.
	Projects []string
	// Streams are those of a project that are there, nil for none. Of connections that
	// the file names, those that it gives them count.
	Streams func(project string) []StreamRef
	// Kept returns the config of a connection with what is there in place of what
	// it hides, or what is wrong with it, by the paths of [Problem].
	Kept func(document map[string]any) (config map[string]any, problems Problems)
}

// Hidden stands for a secret that is not shown.
const Hidden = "***"

// hidden puts what is there in place of what the settings of a connection hide.
// Where nothing is there, a file that hides a secret says nothing.
func (r *reader) hidden(c *Connection, n *yaml.Node, at *connectionNodes) {
	if at.config == nil || r.strict || r.parts > maxParts {
		return
	}
	found := hiding(at.config, 0)
	switch {
	case len(found) == 0:
		return
	case r.arriving.Kept == nil:
		for _, scalar := range found {
			if scalar.Value == Hidden {
				r.problem(scalar, "connection %q: \"***\" stands for a secret that Weir does not show; write the secret itself, or a reference such as ${NAME}", c.Name)
			}
		}
		return
	}
	document, _ := plainOf(n, 0).(map[string]any)
	config, problems := r.arriving.Kept(document)
	for _, p := range problems {
		where := settingNode(at.config, strings.TrimPrefix(p.Path, "config."))
		r.problem(where, "connection %q: %s: %s", c.Name, p.Path, p.Message)
	}
	if len(problems) > 0 || config == nil {
		return
	}
	restored := r.graft(at.config, config)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "config" {
			n.Content[i+1] = restored
		}
	}
	at.config = restored
	c.Settings = r.settings(restored)
}

// hiding lists the texts below a node that hide something.
func hiding(n *yaml.Node, depth int) []*yaml.Node {
	n = plain(n)
	if depth > maxDepth {
		return nil
	}
	var found []*yaml.Node
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && strings.Contains(n.Value, Hidden) {
		found = append(found, n)
	}
	for i, below := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			found = append(found, hiding(below, depth+1)...)
		}
	}
	return found
}

// graft returns a node of a value, with the places of the old one.
func (r *reader) graft(old *yaml.Node, value any) *yaml.Node {
	old = plain(old)
	line, column := old.Line, old.Column
	switch v := value.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: line, Column: column}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below, key := old, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: line, Column: column}
			for i := 0; old.Kind == yaml.MappingNode && i+1 < len(old.Content); i += 2 {
				if old.Content[i].Value == name {
					below, key = old.Content[i+1], old.Content[i]
				}
			}
			n.Content = append(n.Content, key, r.graft(below, v[name]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: line, Column: column}
		for i, one := range v {
			below := old
			if old.Kind == yaml.SequenceNode && i < len(old.Content) {
				below = old.Content[i]
			}
			n.Content = append(n.Content, r.graft(below, one))
		}
		return n
	case string:
		if old.Value != v {
			// What was hidden stays so where a problem would show it.
			r.resolve.values = append(r.resolve.values, v)
		}
	default:
		if old.Kind == yaml.ScalarNode {
			return old // only texts hide something
		}
	}
	n := scalar(value)
	n.Line, n.Column = line, column
	return n
}
