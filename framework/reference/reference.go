// Package reference expands the references that stand in settings for what is
// kept elsewhere: ${NAME} is the environment variable NAME, ${file:/path} the
// content of a file without its last line break, and $${ stands for a plain ${.
//
// A [Policy] says what may be read. The operator's own file may read anything,
// because who writes it has the machine. What arrives through the API may not:
// it could send every variable of the process to an address of its own. It reads
// only names and a folder that the operator has listed, and never what belongs to
// this process: names that begin with WEIR_.
package reference

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxFileBytes bounds a file that a reference names.
const MaxFileBytes = 64 << 10

// Policy says what references may read. The zero value lets them read nothing.
type Policy struct {
	// Free lets references read every variable and every file.
	Free bool
	// Names are the environment variables that may be read; one that ends with *
	// stands for all that begin so. Names that begin with WEIR_ are never read.
	Names []string
	// Dir is the folder below which files may be read; "" for none.
	Dir string
	// Env looks up an environment variable. The default is os.LookupEnv.
	Env func(name string) (value string, ok bool)
}

// Has reports that a text holds a reference, or tries to.
func Has(text string) bool {
	for {
		before, after, found := strings.Cut(text, "${")
		if !found || !strings.HasSuffix(before, "$") {
			return found
		}
		text = after
	}
}

// Expand replaces the references in a text by what lookup says of each.
func Expand(text string, lookup func(reference string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), nil
		}
		if escaped, ok := strings.CutSuffix(before, "$"); ok {
			b.WriteString(escaped + "${")
			text = after
			continue
		}
		b.WriteString(before)
		name, rest, closed := strings.Cut(after, "}")
		if !closed {
			return "", errors.New("\"${\" is never closed; write $${ for a plain one")
		}
		value, err := lookup(name)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = rest
	}
}

// Expand replaces the references in a text. An error names the reference, never
// a value.
func (p Policy) Expand(text string) (string, error) { return Expand(text, p.Lookup) }

// Lookup returns what a reference, without ${ and }, stands for.
func (p Policy) Lookup(reference string) (string, error) {
	if path, ok := strings.CutPrefix(reference, "file:"); ok {
		content, err := p.read(path)
		if err != nil {
			return "", err
		}
		value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		if value == "" {
			return "", fmt.Errorf("file %s is empty", path)
		}
		return value, nil
	}
	if reference == "" {
		return "", errors.New("\"${}\" names nothing")
	}
	if !p.admits(reference) {
		return "", fmt.Errorf("environment variable %s may not be read from here; the operator lists names that may under secrets.env of weir.yaml", shown(reference))
	}
	env := p.Env
	if env == nil {
		env = os.LookupEnv
	}
	value, ok := env(reference)
	switch {
	case !ok:
		return "", fmt.Errorf("environment variable %s is not set", reference)
	case value == "":
		return "", fmt.Errorf("environment variable %s is empty", reference)
	}
	return value, nil
}

// Own reports that an environment variable belongs to this process: its value
// opens the process itself.
func Own(name string) bool {
	// Some systems do not tell case apart.
	return strings.HasPrefix(strings.ToUpper(name), "WEIR_")
}

func (p Policy) admits(name string) bool {
	if p.Free {
		return true
	}
	return !Own(name) && slices.ContainsFunc(p.Names, func(listed string) bool {
		if prefix, ok := strings.CutSuffix(listed, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == listed
	})
}

// read reads a file that a reference names. Only a regular one will do: another
// may never end, or wait for ever.
func (p Policy) read(path string) ([]byte, error) {
	if p.Free {
		return readFile(path, os.Stat, os.Open)
	}
	outside := fmt.Errorf("file %s may not be read from here; the operator names the folder that may under secrets.dir of weir.yaml", shown(path))
	if p.Dir == "" || !filepath.IsAbs(path) {
		return nil, outside
	}
	below, err := filepath.Rel(p.Dir, path)
	if err != nil || !filepath.IsLocal(below) || below == "." {
		return nil, outside
	}
	// A root keeps links from leading out of it.
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return nil, fmt.Errorf("the folder %s of secrets.dir cannot be opened; make it, or check its permissions", p.Dir)
	}
	defer func() { _ = root.Close() }()
	return readFile(below, root.Stat, root.Open)
}

func readFile(path string, stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error)) ([]byte, error) {
	info, err := stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("file %s cannot be read; make it, or change ${file:…}", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("file %s is no regular file", path)
	}
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("file %s cannot be read: check its permissions", path)
	}
	defer func() { _ = f.Close() }()
	// Some regular files say that they are empty, such as those below /proc.
	content, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("file %s cannot be read: check its permissions", path)
	case len(content) > MaxFileBytes:
		return nil, fmt.Errorf("file %s is larger than %d bytes", path, MaxFileBytes)
	}
	return content, nil
}

// shown bounds what somebody else wrote.
func shown(s string) string {
	const most = 100
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%+q", s)
}
