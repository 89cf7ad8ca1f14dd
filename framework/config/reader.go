package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework"
)

// reader walks the nodes of a file and gathers every problem on the way.
type reader struct {
	file     string
	resolve  *resolver
	problems Problems
	// parts counts what was read of settings: aliases can make few lines stand
	// for more than memory holds.
	parts int
	// publicURL is that of the file; some webhook schemes sign it.
	publicURL string
	// unread holds the paths of the settings of the connection at hand that could
	// not be read, so that they are not reported twice.
	unread   map[string]bool
	warnings Problems
	// streams are those of each source, by project and name; unsure are projects
	// with a source whose streams are not known. subscribers are the sinks.
	streams     map[string][]StreamRef
	unsure      map[string]bool
	subscribers []subscriber
	triggers    []triggering
	// strict takes texts and booleans only as what they are: a document says
	// which is which. paths are then those that the lines of nodes stand for.
	strict bool
	paths  []string
	// part reads connections and projects of a file, and nothing else, and arriving
	// is what they meet.
	part     bool
	arriving Arriving
	// process reads all but the connections.
	process bool
}

// maxProblems bounds what is reported at once.
const maxProblems = 200

func (r *reader) problem(n *yaml.Node, format string, args ...any) {
	if len(r.problems) > maxProblems {
		return
	}
	if len(r.problems) == maxProblems {
		format, args = "there are more problems; mend those above first", nil
	}
	line, column := 1, 1
	if n != nil {
		line, column = n.Line, n.Column
	}
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...)})
}

// field reads one key of a mapping.
type field struct {
	name string
	read func(n *yaml.Node)
}

// mapping reads the keys of a mapping node through fields and reports unknown
// and repeated ones.
func (r *reader) mapping(n *yaml.Node, what string, fields []field) {
	n = plain(n)
	if n.Kind != yaml.MappingNode {
		r.problem(n, "%s must be a mapping of keys to values", what)
		return
	}
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], plain(n.Content[i+1])
		at := slices.Index(known, key.Value)
		switch {
		case seen[key.Value]:
			r.problem(key, "%s has the key %q twice", what, key.Value)
		case at < 0:
			r.problem(key, "%s has no key %q%s", what, key.Value, framework.Suggest(key.Value, known))
		default:
			fields[at].read(value)
		}
		seen[key.Value] = true
	}
}

// plain follows an alias to what it stands for.
func plain(n *yaml.Node) *yaml.Node {
	for depth := 0; n.Kind == yaml.AliasNode && n.Alias != nil && depth < 10; depth++ {
		n = n.Alias
	}
	return n
}

func (r *reader) text(into *string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || r.strict && n.Tag != "!!str" {
			r.problem(n, "%s must be text", what)
			return
		}
		resolved, err := r.resolve.text(n.Value)
		if err != nil {
			r.problem(n, "%s: %s", what, err)
			return
		}
		*into = resolved
	}
}

func (r *reader) boolean(into *bool, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		v, err := strconv.ParseBool(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || r.strict && n.Tag != "!!bool" {
			r.problem(n, "%s must be true or false", what)
			return
		}
		*into = v
	}
}

// list reads every entry of a sequence.
func (r *reader) list(what string, read func(n *yaml.Node)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.problem(n, "%s must be a list", what)
			return
		}
		for _, entry := range n.Content {
			read(plain(entry))
		}
	}
}

func (r *reader) texts(into *[]string, what string) func(*yaml.Node) {
	return r.list(what, func(n *yaml.Node) {
		var one string
		r.text(&one, "an entry of "+what)(n)
		if one != "" {
			*into = append(*into, one)
		}
	})
}

const (
	// maxDepth bounds nested settings.
	maxDepth = 32
	// maxParts bounds the settings of a whole file, with aliases written out: each
	// key and value is one, and one more for every 64 bytes of it.
	maxParts = 200_000
)

// count counts a part of the settings and reports whether it may be read. The
// first that may not is reported.
func (r *reader) count(n *yaml.Node) bool {
	if r.parts > maxParts {
		return false
	}
	if r.parts += 1 + len(n.Value)/64; r.parts > maxParts {
		r.problem(n, "the settings of this file have more than %d parts; an alias counts as what it stands for", maxParts)
		return false
	}
	return true
}

// settings reads the settings of a connection.
func (r *reader) settings(n *yaml.Node) map[string]any {
	if n.Kind != yaml.MappingNode {
		r.problem(n, "config must be a mapping of settings to values")
		return map[string]any{}
	}
	settings, _ := r.value(n, "", 0).(map[string]any)
	return settings
}

// value turns a node into plain Go values, with references resolved in texts.
// path is that of the setting, below config.
func (r *reader) value(n *yaml.Node, path string, depth int) any {
	n = plain(n)
	what := "config"
	if path != "" {
		what += "." + path
	}
	if !r.count(n) {
		return nil
	}
	if depth > maxDepth {
		r.problem(n, "%s is nested deeper than %d levels", what, maxDepth)
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content) && r.count(n.Content[i]); i += 2 {
			key := n.Content[i].Value
			if _, twice := m[key]; twice {
				r.problem(n.Content[i], "%s has the key %q twice", what, key)
			}
			below := key
			if path != "" {
				below = path + "." + key
			}
			m[key] = r.value(n.Content[i+1], below, depth+1)
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, entry := range n.Content {
			if r.parts > maxParts {
				break
			}
			list = append(list, r.value(entry, path+"["+strconv.Itoa(i)+"]", depth+1))
		}
		return list
	default:
		before := len(r.problems)
		defer func() { r.unread[path] = r.unread[path] || len(r.problems) > before }()
		if n.Tag != "!!str" {
			var v any
			if err := n.Decode(&v); err != nil {
				r.problem(n, "%s cannot be read", what)
			}
			return v
		}
		var s string
		r.text(&s, what)(n)
		return s
	}
}

// couldNotRead reports whether the setting at path, or one below it, was
// reported while it was read.
func (r *reader) couldNotRead(path string) bool {
	for unread, is := range r.unread {
		rest, below := strings.CutPrefix(unread, path)
		if is && below && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}
