package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework/reference"
	"github.com/weirhq/weir/framework/seal"
)

// Secrets say how secrets are kept of connections that are made through the API.
type Secrets struct {
	// Key holds the keys that seal secrets, from WEIR_SECRET_KEY; KeyFile names a
	// file of them. One of the two may be set.
	Key, KeyFile string
	// Env are the environment variables that such connections may refer to; one
	// that ends with * stands for all that begin so.
	Env []string
	// Dir is the folder below which they may refer to files.
	Dir string
}

// Keys reads the keys that seal secrets; nil when none is configured. Errors
// hold no part of a key.
func (s Secrets) Keys() (*seal.Keys, error) {
	switch {
	case s.Key != "" && s.KeyFile != "":
		return nil, errors.New("WEIR_SECRET_KEY and secrets.key_file are both set; remove one: several keys may stand in either")
	case s.KeyFile != "":
		content, err := reference.Policy{Free: true}.Lookup("file:" + s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("secrets.key_file: %w", err)
		}
		keys, err := seal.ParseKeys(content)
		if err == nil && keys == nil {
			err = errors.New("it holds no key; make one with: weir secrets generate-key")
		}
		if err != nil {
			return nil, fmt.Errorf("secrets.key_file %s: %w", s.KeyFile, err)
		}
		return keys, nil
	case s.Key != "":
		keys, err := seal.ParseKeys(s.Key)
		if err != nil {
			return nil, fmt.Errorf("WEIR_SECRET_KEY: %w", err)
		}
		return keys, nil
	default:
		return nil, nil //nolint:nilnil // no key is a state of its own, and all methods know it
	}
}

// Exposed says that everybody on this machine can read the file of the keys, or
// is "". Some systems mount such files so, so it refuses nothing.
func (s Secrets) Exposed() string {
	info, err := os.Stat(s.KeyFile)
	if s.KeyFile == "" || err != nil || info.Mode().Perm()&0o004 == 0 {
		return ""
	}
	return "everybody on this machine can read " + s.KeyFile + "; run: chmod o= " + s.KeyFile
}

// References is what connections that are made through the API may refer to.
func (s Secrets) References() reference.Policy {
	return reference.Policy{Names: s.Env, Dir: s.Dir}
}

// envName is what the names of environment variables look like, with an * at the
// end for all that begin so.
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\*?$`)

func (r *reader) secrets(into *Secrets) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.mapping(n, "secrets", []field{
			{"key_file", r.text(&into.KeyFile, "key_file")},
			{"env", r.list("env", func(n *yaml.Node) {
				switch {
				case n.Kind != yaml.ScalarNode || !envName.MatchString(n.Value):
					r.problem(n, "env: %q is no name of an environment variable such as SHOP_KEY or SHOP_*", n.Value)
				case reference.Own(strings.TrimSuffix(n.Value, "*") + "_"):
					r.problem(n, "env: %s belongs to weir itself and is never read for a connection; give the variable another name", n.Value)
				default:
					into.Env = append(into.Env, n.Value)
				}
			})},
			{"dir", func(n *yaml.Node) {
				r.text(&into.Dir, "dir")(n)
				if into.Dir != "" && !filepath.IsAbs(into.Dir) {
					r.problem(n, "dir: %q is no absolute path such as /run/secrets", into.Dir)
				}
			}},
		})
	}
}
