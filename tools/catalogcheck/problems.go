package catalogcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// listError is what the go command says when it cannot list packages at all, with
// the way out where there is one.
func listError(err error) error {
	text := commandNoise.ReplaceAllString(strings.TrimSpace(err.Error()), "")
	problems := strings.Split(text, "\n")
	for i, p := range problems {
		problems[i] = p + intoModule(p)
	}
	return &LoadError{Problems: problems}
}

// intoModule says where packages are, of a complaint that there are none.
func intoModule(problem string) string {
	switch {
	case strings.Contains(problem, "does not contain modules listed in go.work"):
		return "; a workspace has no packages of its own: name the folders of its modules, such as ./mine/..."
	case strings.Contains(problem, "does not contain main module"), strings.Contains(problem, "go.mod file not found"):
		return "; there is no go.mod in this folder or above it: go to the folder of a module"
	}
	return ""
}

// commandNoise is what package packages puts around the words of the go command.
var commandNoise = regexp.MustCompile(`^err: (exit status \d+: stderr: )?|: stderr:\s*$`)

// problemsOf returns what is wrong with the packages and their imports, each
// complaint once, in the compiler's form. As long as packages cannot be found, it
// is those only: what the compiler says of their importers follows from it.
func problemsOf(dir string, roots []*packages.Package) []string {
	var c complaints
	packages.Visit(roots, nil, func(p *packages.Package) { c.of(dir, p) })
	c.cycles(dir, roots)
	if len(c.unsummed) > 0 {
		c.missing = append(c.missing, fmt.Sprintf("go.sum has no entry for what provides %s; run go mod tidy", some(c.unsummed)))
	}
	if len(c.missing) > 0 {
		c.compiler = nil
	}
	return compact(slices.Concat(c.missing, c.compiler))
}

// complaints are those about packages, by where they come from.
type complaints struct {
	// missing are about packages that cannot be found or imported, unsummed the
	// packages of modules that go.sum does not know.
	missing, unsummed []string
	compiler          []string
}

func (c *complaints) of(dir string, p *packages.Package) {
	compiled := slices.ContainsFunc(p.Errors, func(e packages.Error) bool { return e.Kind == packages.TypeError || e.Kind == packages.ParseError })
	for _, e := range p.Errors {
		switch {
		case strings.HasPrefix(e.Msg, "missing go.sum entry"):
			c.unsummed = append(c.unsummed, p.PkgPath)
		case strings.HasPrefix(e.Msg, importCycle):
			continue // see cycles
		case e.Kind == packages.ListError && p.Name == "" && e.Pos != "" && e.Pos != "-":
			c.missing = append(c.missing, at(dir, e)+wayOut(p.PkgPath))
		case compiled && e.Kind == packages.ListError:
			continue // the go command's own account of the same
		case e.Pos != "" && e.Pos != "-":
			c.compiler = append(c.compiler, at(dir, e)+regenerate(e))
		case !strings.Contains(e.Msg, p.PkgPath):
			c.compiler = append(c.compiler, p.PkgPath+": "+e.Msg)
		default:
			c.compiler = append(c.compiler, e.Msg+intoModule(e.Msg))
		}
	}
}

func at(dir string, e packages.Error) string { return relative(dir, e.Pos) + ": " + e.Msg }

const importCycle = "import cycle not allowed"

// importStack is how the go command shows a cycle.
var importStack = regexp.MustCompile(`\[(.*)\]`)

// cycles says who imports whom, at the import that closes the cycle.
func (c *complaints) cycles(dir string, roots []*packages.Package) {
	packages.Visit(roots, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			if !strings.HasPrefix(e.Msg, importCycle) {
				continue
			}
			text := e.Msg
			if stack := importStack.FindStringSubmatch(e.Msg); stack != nil {
				text = importCycle + ": " + strings.Join(strings.Fields(stack[1]), " imports ")
			}
			for _, other := range p.Errors {
				if other.Kind == packages.TypeError && strings.Contains(other.Msg, "import cycle") {
					text = relative(dir, other.Pos) + ": " + text
					break
				}
			}
			c.missing = append(c.missing, text)
		}
	})
}

// wayOut says where a package comes from that is generated.
func wayOut(path string) string {
	if strings.HasSuffix(path, "/connectors/all") {
		return "; it is generated: restore it from version control, or run weir generate"
	}
	return ""
}

// regenerate says what mends a generated file that does not compile.
func regenerate(e packages.Error) string {
	name, _, ok := strings.Cut(e.Pos, ":")
	if !ok || filepath.Base(name) != generatedFile {
		return ""
	}
	if content, err := os.ReadFile(name); err != nil || !strings.Contains(string(content), generatedHeader) {
		return "; " + generatedFile + " is generated: delete it and run go generate"
	}
	return "; " + generatedFile + " is generated: run go generate"
}

// some names the first of a list.
func some(paths []string) string {
	slices.Sort(paths)
	paths = slices.Compact(paths)
	const shown = 3
	if len(paths) <= shown {
		return strings.Join(paths, ", ")
	}
	return fmt.Sprintf("%s and %d more packages", strings.Join(paths[:shown], ", "), len(paths)-shown)
}

// compact drops what was said before, and keeps the order.
func compact(list []string) (once []string) {
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			once = append(once, s)
		}
	}
	return once
}
