package webhook

import (
	"encoding/base64"
	"slices"
	"strings"
)

// member is one member of a dictionary of structured fields (RFC 8941), with
// its value as it was written.
type member struct{ name, value string }

// maxMembers bounds dictionaries and lists from outside.
const maxMembers = 32

// readDictionary splits a dictionary into its members. A name that is there
// twice makes it malformed: which one was meant?
func readDictionary(text string) ([]member, bool) {
	var all []member
	for rest := strings.Trim(text, " \t"); ; {
		at := nameEnd(rest)
		if at == 0 || at >= len(rest) || rest[at] != '=' {
			return nil, false
		}
		name := rest[:at]
		end := valueEnd(rest[at+1:])
		if end <= 0 || len(all) == maxMembers || slices.ContainsFunc(all, func(m member) bool { return m.name == name }) {
			return nil, false
		}
		all = append(all, member{name, strings.TrimRight(rest[at+1:at+1+end], " \t")})
		rest = rest[at+1+end:]
		if rest == "" {
			return all, true
		}
		rest = strings.TrimLeft(rest[1:], " \t")
	}
}

func valueOf(all []member, name string) (string, bool) {
	for _, m := range all {
		if m.name == name {
			return m.value, true
		}
	}
	return "", false
}

// nameEnd returns the length of the key that s starts with.
func nameEnd(s string) int {
	for i, c := range []byte(s) {
		lower := c >= 'a' && c <= 'z' || c == '*'
		if !lower && (i == 0 || (c < '0' || c > '9') && c != '_' && c != '-' && c != '.') {
			return i
		}
	}
	return len(s)
}

// valueEnd returns where the value that s starts with ends: at a comma outside
// of strings and lists, or at the end. It is -1 for one that does not end.
func valueEnd(s string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < 0x20 || c > 0x7e:
			return -1
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			return i
		}
	}
	if quoted || depth != 0 {
		return -1
	}
	return len(s)
}

// readBytes reads a byte sequence: base64 between colons.
func readBytes(text string) ([]byte, bool) {
	if len(text) < 3 || text[0] != ':' || text[len(text)-1] != ':' {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text[1 : len(text)-1])
	return b, err == nil
}

// signatureInput is what a signature says it covers.
type signatureInput struct {
	// text is the whole as it was written, which is signed too.
	text       string
	components []string
	// parameters have their values as they were written.
	parameters map[string]string
}

// readInput reads a list of covered components and its parameters. Components
// with parameters of their own are refused: none of them is needed here, and
// each is a way to cover less than it seems.
func readInput(text string) (signatureInput, bool) {
	in := signatureInput{text: text, parameters: map[string]string{}}
	list, rest, found := strings.Cut(text, ")")
	list, opened := strings.CutPrefix(list, "(")
	if !found || !opened {
		return in, false
	}
	if list != "" {
		for word := range strings.SplitSeq(list, " ") {
			if len(word) < 3 || word[0] != '"' || word[len(word)-1] != '"' {
				return in, false
			}
			name := word[1 : len(word)-1]
			if strings.ContainsAny(name, `"\;`) || name != strings.ToLower(name) || slices.Contains(in.components, name) || len(in.components) == maxMembers {
				return in, false
			}
			in.components = append(in.components, name)
		}
	}
	for rest != "" {
		if rest[0] != ';' {
			return in, false
		}
		rest = rest[1:]
		at := nameEnd(rest)
		if at == 0 || at >= len(rest) || rest[at] != '=' {
			return in, false
		}
		name := rest[:at]
		rest = rest[at+1:]
		end := parameterEnd(rest)
		if _, twice := in.parameters[name]; twice || end <= 0 || len(in.parameters) == maxMembers {
			return in, false
		}
		in.parameters[name] = rest[:end]
		rest = rest[end:]
	}
	return in, true
}

// parameterEnd returns where the bare item that s starts with ends.
func parameterEnd(s string) int {
	if s == "" || s[0] != '"' {
		at := strings.IndexByte(s, ';')
		if at < 0 {
			return len(s)
		}
		return at
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}
