package config

import (
	"fmt"
	"os"
	"strings"
)

// resolver replaces references in texts.
type resolver struct {
	// env looks up an environment variable.
	env func(name string) (string, bool)
}

// maxSecretFile bounds a file that a reference names.
const maxSecretFile = 64 << 10

func (r resolver) text(s string) (string, error) {
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
		b.WriteString(value)
		s = rest
	}
}

func (r resolver) lookup(reference string) (string, error) {
	if path, ok := strings.CutPrefix(reference, "file:"); ok {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return "", fmt.Errorf("file %s cannot be read; make it, or change ${file:…}", path)
		case info.Size() > maxSecretFile:
			return "", fmt.Errorf("file %s is larger than %d bytes", path, maxSecretFile)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("file %s cannot be read: check its permissions", path)
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
