package connection

import (
	"cmp"
	"crypto/hmac"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/framework/seal"
)

// Change is one value that differs between two revisions.
type Change struct {
	Path string `json:"path"`
	// Before and After are JSON, "" where there was or is nothing. Secrets are
	// "(changed)".
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// changed stands for a secret that is another one.
const changed = "(changed)"

// Diff lists what differs between two specs of a connection; nil stands for none.
func (d *Desk) Diff(id string, before, after *Spec) []Change {
	x, y := d.flat(id, before), d.flat(id, after)
	paths := slices.Collect(maps.Keys(x))
	for path := range y {
		if _, ok := x[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, strings.Compare)
	out := []Change{}
	for _, path := range paths {
		a, b := x[path], y[path]
		if a.secret || b.secret {
			if !hmac.Equal([]byte(a.text), []byte(b.text)) {
				c := Change{Path: path, Before: shownSecret(a), After: shownSecret(b)}
				if c.Before == c.After {
					c.Before, c.After = changed, changed // they differ in what is not shown
				}
				out = append(out, c)
			}
			continue
		}
		if a != b {
			out = append(out, Change{Path: path, Before: a.text, After: b.text})
		}
	}
	return out
}

func shownSecret(l leaf) string {
	switch {
	case l.text == "":
		return ""
	case l.secret:
		return cmp.Or(l.shown, changed)
	default:
		return l.text
	}
}

// leaf is one value of a spec.
type leaf struct {
	text   string
	secret bool
	// shown is what may be shown of a secret, as JSON; "" for nothing.
	shown string
}

// flat lists the values of a spec by their paths.
func (d *Desk) flat(id string, s *Spec) map[string]leaf {
	out := map[string]leaf{}
	if s == nil {
		return out
	}
	document, err := s.document()
	if err != nil {
		return out
	}
	flatten("", document, out)
	kept := changeable(*s)
	d.eachSecret(&kept, func(at place, text string) string {
		if onlyReference.MatchString(text) {
			return text
		}
		plain := text
		if seal.IsSealed(text) {
			if opened, err := d.cfg.Keys.Open(id, at.key(), text); err == nil {
				plain = opened
			}
		}
		l := leaf{text: plain, secret: true}
		if at.address && !seal.IsSealed(plain) {
			b, _ := encode(at.shown(plain)) // a text always encodes
			l.shown = string(b)
		}
		out[at.member()] = l
		return text
	})
	return out
}

func flatten(path string, value any, out map[string]leaf) {
	switch v := value.(type) {
	case map[string]any:
		for name, one := range v {
			flatten(joinPath(path, name), one, out)
		}
	case []any:
		for i, one := range v {
			flatten(path+"["+strconv.Itoa(i)+"]", one, out)
		}
	default:
		b, err := encode(v) // an & in a URL stays one
		if err == nil {
			out[path] = leaf{text: string(b)}
		}
	}
}
