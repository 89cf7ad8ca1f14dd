package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/framework/reference"
)

// resolver replaces references in texts.
type resolver struct {
	// env looks up an environment variable.
	env func(name string) (string, bool)
	// lookup says what a reference stands for, in place of env and of files.
	lookup func(name string) (string, error)
	// values are those that references stood for.
	values []string
}

// minHidden is the length below which a value is not looked for in problems:
// shorter ones would blank ordinary words.
const minHidden = 6

// hider takes out of a problem's text what references stood for: it may be a
// secret at the wrong place.
func (r *resolver) hider() *strings.Replacer {
	var all []string
	for _, v := range r.values {
		quoted := strconv.Quote(v)
		for _, spelling := range []string{v, quoted[1 : len(quoted)-1]} {
			if len(spelling) >= minHidden {
				all = append(all, spelling)
			}
		}
	}
	// The longest first: a value may begin with another one.
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, spelling := range slices.Compact(all) {
		pairs = append(pairs, spelling, "***")
	}
	return strings.NewReplacer(pairs...)
}

// text replaces the references in s: the operator's own file may read anything.
func (r *resolver) text(s string) (string, error) {
	lookup := r.lookup
	if lookup == nil {
		lookup = reference.Policy{Free: true, Env: r.env}.Lookup
	}
	return reference.Expand(s, func(name string) (string, error) {
		value, err := lookup(name)
		if err == nil && !slices.Contains(r.values, value) {
			r.values = append(r.values, value)
		}
		return value, err
	})
}
