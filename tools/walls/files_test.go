package walls

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxLines is how long a Go file may be: one concept a file, so that it can be read in one go.
const maxLines = 500

// guardedClient is the one package that makes HTTP clients: its dialer refuses private addresses.
const guardedClient = "framework/httpguard"

// topLevel is what stands in the top folder, besides names that begin with a dot.
var topLevel = []string{
	"cmd", "framework", "catalog", "ingest", "connectors", "tools", "docs",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "CHANGELOG.md",
}

// repositoryFiles returns the files that git knows or would add, with slashes, relative to the
// top folder.
func repositoryFiles(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	require.NoError(t, err, "the walls read the list of files from git")
	var files []string
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		// What was deleted and not yet committed is still in git's list.
		if info, err := os.Lstat(filepath.Join(root(t), name)); err == nil && info.Mode().IsRegular() {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	files = slices.Compact(files)
	require.Contains(t, files, "go.mod", "not the top folder of the repository")
	return files
}

// goFiles returns the Go files that people write: not generated, not text for a test of the checker.
func goFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range repositoryFiles(t) {
		if path.Ext(name) != ".go" || slices.Contains(strings.Split(name, "/"), "testdata") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root(t), name))
		require.NoError(t, err)
		if !isGenerated(content) {
			files[name] = content
		}
	}
	require.NotEmpty(t, files)
	return files
}

// isGenerated looks for the line that go/ast's documentation fixes, before the package clause.
func isGenerated(content []byte) bool {
	for line := range bytes.Lines(content) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("// Code generated ")) && bytes.HasSuffix(line, []byte(" DO NOT EDIT.")) {
			return true
		}
		if bytes.HasPrefix(line, []byte("package ")) {
			return false
		}
	}
	return false
}

func TestTopLevelIsFixed(t *testing.T) {
	t.Parallel()
	var offenders []string
	for _, name := range repositoryFiles(t) {
		first, _, _ := strings.Cut(name, "/")
		if !strings.HasPrefix(first, ".") && !slices.Contains(topLevel, first) {
			offenders = append(offenders, first)
		}
	}
	stands(t, slices.Compact(offenders), "nothing else stands at the top level")
}

func TestGoFilesStayShort(t *testing.T) {
	t.Parallel()
	var offenders []string
	for name, content := range goFiles(t) {
		if lines := bytes.Count(content, []byte("\n")); lines > maxLines {
			offenders = append(offenders, name+" has "+strconv.Itoa(lines)+" lines")
		}
	}
	slices.Sort(offenders)
	stands(t, offenders, "a Go file has at most "+strconv.Itoa(maxLines)+" lines; split it by concept")
}

// A client that was not made by the guarded package reaches the cloud's metadata address and the
// operator's own network with whatever address a connection names.
func TestOnlyTheGuardMakesHTTPClients(t *testing.T) {
	t.Parallel()
	var offenders []string
	for name, content := range goFiles(t) {
		// tools/foreign is tests from one end to the other, and the floors of the benchmarks are bare on
		// purpose; both speak to their own servers on loopback.
		if strings.HasSuffix(name, "_test.go") || under(name, guardedClient) || under(name, "tools/foreign") || under(name, "cmd/weirbench") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, content, parser.SkipObjectResolution)
		if err != nil {
			continue // the compiler's to say
		}
		for _, made := range unguardedClients(file) {
			// A command calls the server that its own user names, which is on loopback as a rule.
			if under(name, "cmd") && made.what == bareClient {
				continue
			}
			offenders = append(offenders, fset.Position(made.Pos()).String()+": "+made.what)
		}
	}
	slices.Sort(offenders)
	stands(t, offenders, "take the client from "+guardedClient)
}

// bareClient is a client that says nothing of its transport.
const bareClient = "http.Client{} without Transport, which is http.DefaultTransport"

// unguarded is one place that makes or takes an HTTP client that guards nothing.
type unguarded struct {
	ast.Node

	what string
}

// unguardedClients finds http.DefaultClient and its friends, http.Transport literals, and
// http.Client literals without a Transport, under whatever name the file imports net/http.
func unguardedClients(file *ast.File) []unguarded {
	alias := importedAs(file, "net/http")
	if alias == "" {
		return nil
	}
	selected := func(n ast.Node) string { return selectedFrom(n, alias) }
	var found []unguarded
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			switch name := selected(n); name {
			case "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm":
				found = append(found, unguarded{n, "http." + name})
			}
		case *ast.CompositeLit:
			switch selected(n.Type) {
			case "Transport":
				found = append(found, unguarded{n, "http.Transport{}"})
			case "Client":
				if !slices.ContainsFunc(n.Elts, isTransport) {
					found = append(found, unguarded{n, bareClient})
				}
			}
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && fn.Name == "new" && len(n.Args) == 1 {
				if name := selected(n.Args[0]); name == "Client" || name == "Transport" {
					found = append(found, unguarded{n, "new(http." + name + ")"})
				}
			}
		}
		return true
	})
	return found
}

// importedAs returns the name by which file imports a package of the standard library, "" where it
// does not.
func importedAs(file *ast.File, importPath string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value == strconv.Quote(importPath) {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path.Base(importPath)
		}
	}
	return ""
}

// selectedFrom returns X where n is alias.X, else "".
func selectedFrom(n ast.Node, alias string) string {
	if sel, ok := n.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == alias {
			return sel.Sel.Name
		}
	}
	return ""
}

func isTransport(e ast.Expr) bool {
	kv, ok := e.(*ast.KeyValueExpr)
	if !ok {
		return false
	}
	key, ok := kv.Key.(*ast.Ident)
	return ok && key.Name == "Transport"
}

// A test that sleeps is slow where the machine is fast, and red where it is slow. Under
// testing/synctest a sleep moves fake time and takes none.
func TestNoTestSleepsInRealTime(t *testing.T) {
	t.Parallel()
	var offenders []string
	for name, content := range goFiles(t) {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, content, parser.SkipObjectResolution)
		if err != nil || importedAs(file, "testing/synctest") != "" {
			continue
		}
		alias := importedAs(file, "time")
		ast.Inspect(file, func(n ast.Node) bool {
			if alias != "" && selectedFrom(n, alias) == "Sleep" {
				offenders = append(offenders, fset.Position(n.Pos()).String())
			}
			return true
		})
	}
	slices.Sort(offenders)
	stands(t, offenders, "a test waits with testing/synctest, a channel, or require.Eventually on another process")
}

// Each machine has its own registries; a name in the repository sends everyone to one of them.
func TestNoFileNamesARegistry(t *testing.T) {
	t.Parallel()
	// In two parts, since this file is one that is looked at.
	hosts := []string{"proxy.golang" + ".org", "sum.golang" + ".org", "registry.npmjs" + ".org", "registry.yarnpkg" + ".com", "deb.debian" + ".org", "security.debian" + ".org"}
	var offenders []string
	for _, name := range repositoryFiles(t) {
		content, err := os.ReadFile(filepath.Join(root(t), name))
		require.NoError(t, err)
		for _, host := range hosts {
			if before, _, named := bytes.Cut(content, []byte(host)); named {
				offenders = append(offenders, name+":"+strconv.Itoa(1+bytes.Count(before, []byte("\n")))+" names "+host)
			}
		}
	}
	stands(t, offenders, "no file names the host of a package registry")
}

// tools/foreign cannot import framework/internal/testneed, so it has the same source.
func TestNeedIsTheSameInBothModules(t *testing.T) {
	t.Parallel()
	read := func(name, clause string) string {
		content, err := os.ReadFile(filepath.Join(root(t), name))
		require.NoError(t, err)
		body, ok := strings.CutPrefix(string(content), clause)
		require.True(t, ok, "%s does not begin with %q", name, clause)
		return body
	}
	same := read("framework/internal/testneed/need.go", "package testneed\n") == read("tools/foreign/need/need.go", "package need\n")
	require.True(t, same,
		"copy framework/internal/testneed/need.go to tools/foreign/need/need.go and change its package clause")
}
