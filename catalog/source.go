package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// Source is a place in a request: a header, a path of object keys in a JSON
// body, a query parameter or a key of the signature header.
type Source struct {
	// Kind is "header", "body", "query" or "key".
	Kind string
	// Name is the header, the dotted path, the parameter or the key.
	Name string
}

// ParseSource reads "header:Name", "body:path.to.field", "query:name" or
// "key:name". Only the given kinds are accepted.
func ParseSource(text string, kinds ...string) (Source, error) {
	kind, name, _ := strings.Cut(text, ":")
	known := slices.Contains(kinds, kind)
	switch {
	case known && kind == "header" && validHeaderName(name),
		known && kind == "body" && !slices.Contains(strings.Split(name, "."), ""),
		known && (kind == "query" || kind == "key") && name != "":
		return Source{kind, name}, nil
	}
	forms := map[string]string{"header": `"header:Name"`, "body": `"body:path.to.field"`, "query": `"query:name"`, "key": `"key:name"`}
	var want []string
	for _, k := range kinds {
		want = append(want, forms[k])
	}
	return Source{}, fmt.Errorf("%q is not of the form %s", text, strings.Join(want, " or "))
}

// SignedPart is one part of a signed text: a variable such as "body", or text
// that stands there as it is.
type SignedPart struct{ Variable, Text string }

// signedVariables are what may stand in braces in a signed text.
var signedVariables = []string{"body", "timestamp", "id", "method", "url", "path", "sorted_form", "body_sha256", "body_crc32", "secret"}

// Parts returns the parts of the signed text, in their order.
func (s SignatureSpec) Parts() ([]SignedPart, error) {
	text := s.Signed
	if text == "" {
		text = "{body}"
	}
	var parts []SignedPart
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			parts = append(parts, SignedPart{Text: before})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		switch {
		case !closed || !slices.Contains(signedVariables, name):
			return nil, fmt.Errorf("%q holds something else in braces than {%s}", text, strings.Join(signedVariables, "}, {"))
		case slices.Contains(parts, SignedPart{Variable: name}):
			return nil, fmt.Errorf("%q holds {%s} twice", text, name)
		}
		parts = append(parts, SignedPart{Variable: name})
		rest = tail
	}
	return parts, nil
}

// signs reports that the signed text holds a variable.
func (s SignatureSpec) signs(variable string) bool {
	parts, err := s.Parts()
	return err == nil && slices.Contains(parts, SignedPart{Variable: variable})
}

// validHeaderName reports whether s is a field name (RFC 9110, section 5.1).
func validHeaderName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
