package walls

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/weirhq/weir"

// listed is what the walls need of one package of `go list -deps -json`.
type listed struct {
	ImportPath string
	Dir        string
	Doc        string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// ours reports whether p is a package of the root module.
func (p listed) ours() bool { return p.Module != nil && p.Module.Path == modulePath }

// name is the path of p below the module, "" for the root.
func (p listed) name() string { return local(p.ImportPath) }

// local cuts the module's path off an import path; a foreign one stays as it is.
func local(importPath string) string {
	if rest, ok := strings.CutPrefix(importPath, modulePath+"/"); ok {
		return rest
	}
	return importPath
}

// under reports whether name is folder or lies below it.
func under(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// root returns the top folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	return filepath.Dir(filepath.Dir(dir))
}

// list runs go list once for all tests. A broken package is listed as far as its imports can be
// read: that it does not compile is the compiler's to say.
var list = sync.OnceValues(func() ([]listed, error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Dir,Doc,Standard,Imports,Deps,Module", "./...")
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

// ourPackages returns the packages of the module; none is a failure, or every wall would stand by
// having nothing to hold.
func ourPackages(t *testing.T) []listed {
	t.Helper()
	all, err := list()
	require.NoError(t, err)
	mine := slices.DeleteFunc(slices.Clone(all), func(p listed) bool { return !p.ours() })
	require.NotEmpty(t, mine, "go list found no package of %s", modulePath)
	return mine
}

// links returns one line for each of the libraries (a path and all below it) that p depends on,
// with the package of ours that brings it in.
func links(mine []listed, p listed, libraries []string) []string {
	var lines []string
	for _, library := range libraries {
		of := func(imported string) bool { return under(imported, library) }
		if !slices.ContainsFunc(p.Deps, of) {
			continue
		}
		line := p.name() + " links " + library
		for _, q := range append([]listed{p}, mine...) {
			if q.ImportPath != p.ImportPath && !slices.Contains(p.Deps, q.ImportPath) {
				continue
			}
			if slices.ContainsFunc(q.Imports, of) {
				if q.ImportPath != p.ImportPath {
					line += " through " + q.name()
				}
				break
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// stands fails with every offender on a line of its own.
func stands(t *testing.T, offenders []string, wall string) {
	t.Helper()
	if len(offenders) > 0 {
		t.Fatalf("%s; but:\n  %s", wall, strings.Join(offenders, "\n  "))
	}
}

// drivers are the database drivers, by module path.
var drivers = []string{"github.com/mattn/go-sqlite3", "modernc.org/sqlite", "github.com/jackc/pgx"}

// A connector author links framework, a linter links tools: neither may pull in a C library or a
// database's protocol. A build with CGO_ENABLED=0 does not show it, since the SQLite driver has a
// stub for that.
func TestNoDatabaseDriverOutsideTheStore(t *testing.T) {
	t.Parallel()
	mine := ourPackages(t)
	var offenders []string
	for _, p := range mine {
		if under(p.name(), "framework/store") || under(p.name(), "cmd") {
			continue
		}
		offenders = append(offenders, links(mine, p, drivers)...)
	}
	stands(t, offenders, "only framework/store and cmd link a database driver")
}

// Only framework/store itself and the commands choose a backend by name.
func TestOnlyCommandsNameABackend(t *testing.T) {
	t.Parallel()
	var offenders []string
	for _, p := range ourPackages(t) {
		if under(p.name(), "framework/store") || under(p.name(), "cmd") {
			continue
		}
		for _, imported := range p.Imports {
			if name := local(imported); under(name, "framework/store/sqlite") || under(name, "framework/store/postgres") {
				offenders = append(offenders, p.name()+" imports "+name)
			}
		}
	}
	stands(t, offenders, "take the store's interface; cmd opens the backend")
}

// arrows say what a folder may import of ours besides itself.
var arrows = map[string][]string{
	"catalog":    {},
	"ingest":     {"catalog"},
	"framework":  {"catalog", "ingest"},
	"connectors": {"catalog", "ingest", "framework"},
	"cmd":        {"catalog", "ingest", "framework", "connectors", "tools"},
	"tools":      {"catalog"},
}

func TestArrowsRunOneWay(t *testing.T) {
	t.Parallel()
	var offenders []string
	for _, p := range ourPackages(t) {
		from, _, _ := strings.Cut(p.name(), "/")
		allowed, known := arrows[from]
		if !known {
			offenders = append(offenders, p.name()+" lies in a folder that has no place in the arrows")
			continue
		}
		for _, imported := range p.Imports {
			name := local(imported)
			to, _, _ := strings.Cut(name, "/")
			if name == imported || to == from || slices.Contains(allowed, to) {
				continue
			}
			offenders = append(offenders, p.name()+" imports "+name)
		}
	}
	stands(t, offenders, "the arrows are catalog <- ingest <- framework <- connectors <- cmd, and tools imports only catalog")
}

// Its parser panics on some input, and its idea of daylight saving is not ours: one package wraps it.
func TestOnlyScheduleImportsCron(t *testing.T) {
	t.Parallel()
	var offenders []string
	for _, p := range ourPackages(t) {
		for _, imported := range p.Imports {
			if under(imported, "github.com/robfig/cron") && p.name() != "catalog/schedule" {
				offenders = append(offenders, p.name()+" imports "+imported)
			}
		}
	}
	stands(t, offenders, "use catalog/schedule, which is panic-safe")
}

// testLibraries must not end up in the binary that operators run.
var testLibraries = []string{"github.com/stretchr/testify", "go.uber.org/goleak", "pgregory.net/rapid", "testing"}

// A package whose last element ends in "test" (storetest, connectortest), or is named testneed,
// exists to be imported by tests; nothing else links what tests use.
func TestNoTestLibraryInTheBinary(t *testing.T) {
	t.Parallel()
	mine := ourPackages(t)
	var offenders []string
	for _, p := range mine {
		last := path.Base(p.name())
		if strings.HasSuffix(last, "test") || strings.HasPrefix(last, "test") {
			continue
		}
		offenders = append(offenders, links(mine, p, testLibraries)...)
	}
	stands(t, offenders, "test libraries are for tests and for packages named *test")
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	var offenders []string
	for _, p := range ourPackages(t) {
		if strings.TrimSpace(p.Doc) == "" {
			offenders = append(offenders, p.name())
		}
	}
	stands(t, offenders, "each package opens with a sentence that says its job")
}
