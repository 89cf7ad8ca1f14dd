package catalogcheck

import (
	"cmp"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/tools/go/packages"
)

// memory keeps the verdicts on the packages of one check, so that the next one
// reads only what has changed. It is one file per folder and patterns. What cannot
// be read or written is no error: the packages are then checked again.
// A nil memory keeps nothing.
type memory struct {
	path string
	// names are what the verdicts on today's packages depend on, by path.
	names map[string]string
	// before is what the file holds.
	before map[string]remembered
}

// remembered is a verdict with the name of everything that it depends on.
type remembered struct {
	Name    string
	Verdict *verdict
}

// memoryAge is how long a file is kept that nobody writes.
const memoryAge = 30 * 24 * time.Hour

// DefaultCacheDir is the folder of this user for [Options].CacheDir, or "" where
// the system has none.
func DefaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "weir", "catalogcheck")
}

// openMemory reads what is known of the packages that the patterns name.
func openMemory(cacheDir, dir string, patterns []string) *memory {
	dir, err := absolute(dir)
	if err != nil || cacheDir == "" {
		return nil
	}
	name := sum(append([]string{dir}, patterns...)...)
	m := &memory{path: filepath.Join(cacheDir, name[:32]), before: map[string]remembered{}}
	if f, err := os.Open(m.path); err == nil {
		defer func() { _ = f.Close() }()
		if gob.NewDecoder(f).Decode(&m.before) != nil {
			m.before = map[string]remembered{}
		}
	}
	return m
}

// recall returns the verdicts on packages of which nothing has changed. Imports
// come before importers.
func (m *memory) recall(list []*packages.Package) map[string]*verdict {
	known := map[string]*verdict{}
	if m == nil {
		return known
	}
	m.names = map[string]string{}
	for _, p := range list {
		name := m.name(p)
		m.names[p.PkgPath] = name
		if r, ok := m.before[p.PkgPath]; ok && name != "" && r.Name == name && r.Verdict != nil {
			known[p.PkgPath] = r.Verdict
		}
	}
	return known
}

// name names everything that the verdict on p depends on: this program, the files
// of p, and what it imports. The go command names a compiled package by its
// content, in which the digest of all of its sources is. It is "" where that
// cannot be told.
func (m *memory) name(p *packages.Package) string {
	program, err := ownDigest()
	if err != nil || p.ExportFile == "" || len(p.Errors) > 0 {
		return ""
	}
	parts := append([]string{program, p.PkgPath, p.Name, filepath.Base(p.ExportFile)}, p.GoFiles...)
	for _, path := range slices.Sorted(maps.Keys(p.Imports)) {
		imported := p.Imports[path]
		name := cmp.Or(m.names[imported.PkgPath], filepath.Base(imported.ExportFile))
		if name == "" {
			return ""
		}
		parts = append(parts, path, imported.PkgPath, name)
	}
	return sum(parts...)
}

// forgetChanged forgets the names of packages that somebody edited after they were
// named and before they were read.
func (m *memory) forgetChanged(l *loaded) {
	if m == nil {
		return
	}
	for _, p := range l.sources {
		if read := l.read[p.PkgPath]; read != nil && read.ExportFile != p.ExportFile {
			delete(m.names, p.PkgPath)
		}
	}
}

// keep writes the verdicts, if there are new ones.
func (m *memory) keep(verdicts map[string]*verdict) {
	if m == nil || m.names == nil {
		return
	}
	now := map[string]remembered{}
	changed := false
	for path, v := range verdicts {
		if name := m.names[path]; name != "" {
			now[path] = remembered{name, v}
			changed = changed || m.before[path].Name != name
		}
	}
	if !changed {
		return
	}
	folder := filepath.Dir(m.path)
	if os.MkdirAll(folder, 0o700) != nil {
		return
	}
	trim(folder)
	f, err := os.CreateTemp(folder, "new-*")
	if err != nil {
		return
	}
	err = gob.NewEncoder(f).Encode(now)
	if f.Close() != nil || err != nil || os.Rename(f.Name(), m.path) != nil {
		_ = os.Remove(f.Name())
	}
}

// trim removes the files that nobody wrote for long.
func trim(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > memoryAge {
			_ = os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}

// ownDigest is the digest of the running program: another one may have other rules.
var ownDigest = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
})

// sum is the digest of a list of texts.
func sum(parts ...string) string {
	var all strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&all, "%d %s\n", len(p), p)
	}
	digest := sha256.Sum256([]byte(all.String()))
	return hex.EncodeToString(digest[:])
}
