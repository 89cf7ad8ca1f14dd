package config

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// resolver replaces references in texts.
type resolver struct {
	// env looks up an environment variable.
	env func(name string) (string, bool)
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

// maxSecretFile bounds a file that a reference names.
const maxSecretFile = 64 << 10

func (r *resolver) text(s string) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "${")
		if !found {
			b.WriteString(s)
			return b.String(), nil
		}
		if escaped, ok := strings.CutSuffix(before, "$"); ok {
			b.WriteString(escaped + "${")
			s = after
			continue
		}
		b.WriteString(before)
		reference, rest, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("\"${\" is never closed; write $${ for a plain one")
		}
		value, err := r.lookup(reference)
		if err != nil {
			return "", err
		}
		if !slices.Contains(r.values, value) {
			r.values = append(r.values, value)
		}
		b.WriteString(value)
		s = rest
	}
}

func (r *resolver) lookup(reference string) (string, error) {
	if path, ok := strings.CutPrefix(reference, "file:"); ok {
		content, err := readSecret(path)
		if err != nil {
			return "", err
		}
		value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		if value == "" {
			return "", fmt.Errorf("file %s is empty", path)
		}
		return value, nil
	}
	value, ok := r.env(reference)
	switch {
	case reference == "":
		return "", fmt.Errorf("\"${}\" names nothing")
	case !ok:
		return "", fmt.Errorf("environment variable %s is not set", reference)
	case value == "":
		return "", fmt.Errorf("environment variable %s is empty", reference)
	}
	return value, nil
}

// readSecret reads a file that a reference names. Only a regular one will do:
// another may never end, or wait for ever.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("file %s cannot be read; make it, or change ${file:…}", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("file %s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("file %s cannot be read: check its permissions", path)
	}
	defer func() { _ = f.Close() }()
	// Some regular files say that they are empty, such as those below /proc.
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("file %s cannot be read: check its permissions", path)
	case len(content) > maxSecretFile:
		return nil, fmt.Errorf("file %s is larger than %d bytes", path, maxSecretFile)
	}
	return content, nil
}
