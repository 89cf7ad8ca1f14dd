// Command catalogbench measures what the checker costs over 300 generated
// connectors with 1,800 streams, beside plain go vet on the same tree in the
// same run. make bench runs it.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "catalogbench:", err)
		os.Exit(1)
	}
}

// bench is the tree and the tool.
type bench struct{ dir, cache, tool string }

// command runs a program in the tree and returns how long it took and the most
// memory it held. A run that fails is an error: the tree has no findings.
func (b bench) command(name string, args ...string) (took time.Duration, megabytes int64, err error) {
	c := exec.Command(name, args...) //nolint:gosec,noctx // our own tools
	c.Dir = b.dir
	c.Env = append(os.Environ(), "GOCACHE="+b.cache, "GOFLAGS=-mod=mod", "GOWORK=off")
	started := time.Now()
	out, err := c.CombinedOutput()
	took = time.Since(started)
	if err != nil {
		return took, 0, fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		megabytes = usage.Maxrss / 1024
	}
	return took, megabytes, nil
}

func (b bench) plain() (time.Duration, int64, error) { return b.command("go", "vet", "./...") }

func (b bench) vettool() (time.Duration, int64, error) {
	return b.command("go", "vet", "-vettool="+b.tool, "./...")
}

func measure() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, "cmd", "catalogcheck")); err != nil {
		return errors.New("run it in the checkout of Weir")
	}
	dir, err := os.MkdirTemp("", "catalogbench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := bench{dir: filepath.Join(dir, "tree"), tool: filepath.Join(dir, "catalogcheck")}
	known, err := exec.Command("go", "env", "GOCACHE").Output() //nolint:noctx // a moment
	if err != nil {
		return fmt.Errorf("find the build cache: %w", err)
	}
	b.cache = string(known[:len(known)-1])
	build := exec.Command("go", "build", "-o", b.tool, "./cmd/catalogcheck") //nolint:gosec,noctx // our own tool
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build catalogcheck: %w\n%s", err, out)
	}
	if err := writeTree(b.dir, root); err != nil {
		return err
	}
	// What both need is compiled first: the packages, and the generated files.
	if _, _, err := b.command("go", "build", "./..."); err != nil {
		return err
	}
	if _, _, err := b.command(b.tool, "-write", "./..."); err != nil {
		return err
	}
	if _, _, err := b.command("go", "build", "./..."); err != nil {
		return err
	}
	return b.report()
}

// report measures and prints each figure.
func (b bench) report() error {
	fmt.Printf("%d connectors, %d streams\n%-44s %10s %10s %8s\n", connectors, connectors*streams, "", "go vet", "checker", "ratio")
	row := func(what string, plain, checker time.Duration) {
		fmt.Printf("%-44s %9.2fs %9.2fs %7.1fx\n", what, plain.Seconds(), checker.Seconds(), checker.Seconds()/plain.Seconds())
	}
	pair := func(what string) error {
		plain, _, err := b.plain()
		if err != nil {
			return err
		}
		checker, _, err := b.vettool()
		if err != nil {
			return err
		}
		row(what, plain, checker)
		return nil
	}
	if err := pair("go vet, cold"); err != nil {
		return err
	}
	if err := pair("go vet, warm"); err != nil {
		return err
	}
	edited := filepath.Join(b.dir, "connectors", "c007", "c007.go")
	source, err := os.ReadFile(edited) //nolint:gosec // our own tree
	if err != nil {
		return err
	}
	source = append(source, fmt.Sprintf("\n// edited at %d\n", time.Now().UnixNano())...)
	if err := os.WriteFile(edited, source, 0o600); err != nil { //nolint:gosec // our own tree
		return err
	}
	if err := pair("go vet, one connector edited"); err != nil {
		return err
	}
	for _, one := range []struct {
		what string
		args []string
	}{
		{"catalogcheck ./... (own driver)", []string{"./..."}},
		{"catalogcheck -write of one package", []string{"-write", "./connectors/c007"}},
	} {
		took, megabytes, err := b.command(b.tool, one.args...)
		if err != nil {
			return err
		}
		fmt.Printf("%-44s %10s %9.2fs %5d MB\n", one.what, "", took.Seconds(), megabytes)
	}
	return nil
}
