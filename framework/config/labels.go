package config

import (
	"regexp"

	"go.yaml.in/yaml/v4"
)

const (
	// maxLabels bounds the labels of a connection, maxLabelBytes the value of one.
	maxLabels     = 64
	maxLabelBytes = 256
	// maxExtra bounds what is kept for others, maxExtraBytes each of it.
	maxExtra      = 500
	maxExtraBytes = 64 << 10
)

// labelPattern is what the names of labels match.
var labelPattern = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_./-]{0,62}[a-zA-Z0-9])?$`)

// labels reads what a connection is found by.
func (r *reader) labels(into *map[string]string) func(*yaml.Node) {
	return r.pairs(into, "labels", maxLabels, func(key *yaml.Node, value string) {
		switch {
		case !labelPattern.MatchString(key.Value):
			r.problem(key, "labels: %q does not match %s", key.Value, labelPattern)
		case len(value) > maxLabelBytes:
			r.problem(key, "labels: %q has %d bytes; the limit is %d", key.Value, len(value), maxLabelBytes)
		}
	})
}

// extra reads what is kept as it is.
func (r *reader) extra(into *map[string]string) func(*yaml.Node) {
	return r.pairs(into, "extra", maxExtra, func(key *yaml.Node, value string) {
		if len(key.Value) > maxLabelBytes || len(value) > maxExtraBytes {
			r.problem(key, "extra: a name has at most %d bytes and a value %d", maxLabelBytes, maxExtraBytes)
		}
	})
}

// pairs reads a mapping of names to texts. References in them are not resolved.
func (r *reader) pairs(into *map[string]string, what string, most int, check func(key *yaml.Node, value string)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = plain(n)
		if n.Kind != yaml.MappingNode {
			r.problem(n, "%s must be a mapping of names to texts", what)
			return
		}
		if len(n.Content)/2 > most {
			r.problem(n, "%s has more than %d entries", what, most)
			return
		}
		*into = make(map[string]string, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], plain(n.Content[i+1])
			if value.Kind != yaml.ScalarNode || value.Tag == "!!null" || r.strict && value.Tag != "!!str" {
				r.problem(value, "%s: the value of %q must be text", what, key.Value)
				continue
			}
			if _, twice := (*into)[key.Value]; twice {
				r.problem(key, "%s has the key %q twice", what, key.Value)
			}
			check(key, value.Value)
			(*into)[key.Value] = value.Value
		}
	}
}
