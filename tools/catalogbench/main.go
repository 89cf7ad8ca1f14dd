// Command catalogbench measures what the checker costs over generated connectors
// of six streams each, beside plain go vet on the same tree in the same run. CPU
// time is of the command and all that it starts: other work on the machine hardly
// changes it, unlike the time on the wall. Each row is measured several times, the
// two commands in turn; what is printed are medians. make bench runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	connectors := flag.Int("connectors", 300, "how many connectors the tree has")
	rounds := flag.Int("rounds", 3, "how often each row is measured")
	keep := flag.String("keep", "", "write the tree into this folder, and measure nothing")
	flag.Parse()
	if *keep != "" {
		if err := writeTo(*keep, *connectors); err != nil {
			fmt.Fprintln(os.Stderr, "catalogbench:", err)
			os.Exit(1)
		}
		return
	}
	if err := measure(*connectors, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "catalogbench:", err)
		os.Exit(1)
	}
}

// bench is the tree and the tool.
type bench struct {
	dir, root, tool string
	connectors      int
	rounds          int
	edits           int
	// cache holds the verdicts of this run, apart from the user's; compiled packages are shared.
	cache string
	env   []string
}

// cost is what a command took.
type cost struct {
	wall, cpu time.Duration
	// megabytes is the most memory that one process held.
	megabytes int64
}

// run runs a program in the tree. One that fails is an error: the tree has no findings.
func (b *bench) run(name string, args ...string) (cost, error) {
	c := exec.Command(name, args...) //nolint:gosec,noctx // our own tools
	c.Dir = b.dir
	c.Env = b.env
	started := time.Now()
	out, err := c.CombinedOutput()
	took := cost{wall: time.Since(started)}
	if err != nil {
		return took, fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	took.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		took.megabytes = usage.Maxrss / 1024
	}
	return took, nil
}

func (b *bench) plain() (cost, error)   { return b.run("go", "vet", "./...") }
func (b *bench) vettool() (cost, error) { return b.run("go", "vet", "-vettool="+b.tool, "./...") }
func (b *bench) own() (cost, error)     { return b.run(b.tool, "./...") }

// build builds the tool. The go command keeps results by the tool's content, so
// another stamp makes it forget what an earlier one found.
func (b *bench) build(stamp string) error {
	c := exec.Command("go", "build", "-ldflags=-B 0x"+stamp, "-o", b.tool, "./cmd/catalogcheck") //nolint:gosec,noctx // our own tool
	c.Dir = b.root
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build catalogcheck: %w\n%s", err, out)
	}
	return nil
}

// edit makes the sources of the first n connectors new.
func (b *bench) edit(n int) error {
	b.edits++
	for i := range n {
		name := connectorName(i)
		path := filepath.Join(b.dir, "connectors", name, name+".go")
		text := fmt.Sprintf("%s\n// Edit %d at %d.\n", connector(name), b.edits, time.Now().UnixNano())
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("edit connector: %w", err)
		}
	}
	return nil
}

// forget erases what the checker remembers of earlier runs.
func (b *bench) forget() error {
	if err := os.RemoveAll(b.cache); err != nil {
		return fmt.Errorf("erase verdicts: %w", err)
	}
	return nil
}

// writeTo writes the tree for somebody who wants to look at the checker's work on it.
func writeTo(dir string, connectors int) error {
	root, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	return writeTree(dir, root, connectors)
}

func measure(connectors, rounds int) error {
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
	b := &bench{dir: filepath.Join(dir, "tree"), root: root, tool: filepath.Join(dir, "catalogcheck"), connectors: connectors, rounds: rounds}
	cache, err := exec.Command("go", "env", "GOCACHE").Output() //nolint:noctx // it answers at once
	if err != nil {
		return fmt.Errorf("find the build cache: %w", err)
	}
	b.cache = filepath.Join(dir, "cache")
	b.env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOCACHE="+strings.TrimSpace(string(cache)), "XDG_CACHE_HOME="+b.cache)
	if err := writeTree(b.dir, root, connectors); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%d connectors, %d streams, medians of %d\n%-42s %17s %17s %7s %8s\n", connectors, connectors*streams, rounds, "", "go vet", "checker", "", "")
	fmt.Fprintf(os.Stdout, "%-42s %8s %8s %8s %8s %7s %8s\n", "seconds", "cpu", "wall", "cpu", "wall", "ratio", "memory")
	// What both need is compiled, and dependencies are vetted, before anything is measured.
	stamp := fmt.Sprintf("%016x", time.Now().UnixNano())
	if err := b.build(stamp); err != nil {
		return err
	}
	if _, err := b.run(b.tool, "-write", "./..."); err != nil {
		return err
	}
	if _, err := b.plain(); err != nil {
		return err
	}
	if _, err := b.vettool(); err != nil {
		return err
	}
	return b.report()
}

// report measures and prints each row.
func (b *bench) report() error {
	for _, row := range []struct {
		what           string
		prepare        func() error
		plain, checker func() (cost, error)
	}{
		{"warm: nothing edited", nil, b.plain, b.vettool},
		{"one connector edited", func() error { return b.edit(1) }, b.plain, b.vettool},
		{"own driver, one connector edited", func() error { return b.edit(1) }, b.plain, b.own},
		{"own driver, nothing edited", nil, b.plain, b.own},
		{"own driver, cold: nothing remembered", b.forget, nil, b.own},
		{"go generate of one package", nil, nil, func() (cost, error) { return b.run(b.tool, "-write", "./connectors/"+connectorName(0)) }},
		{"cold: a new checker, nothing edited", func() error { return b.build(fmt.Sprintf("%016x", time.Now().UnixNano())) }, nil, b.vettool},
		{"cold: every connector edited", func() error { return b.edit(b.connectors) }, b.plain, b.vettool},
	} {
		var costs [2][]cost
		for range b.rounds {
			for i, command := range []func() (cost, error){row.plain, row.checker} {
				if command == nil {
					continue
				}
				if row.prepare != nil {
					if err := row.prepare(); err != nil {
						return err
					}
				}
				took, err := command()
				if err != nil {
					return err
				}
				costs[i] = append(costs[i], took)
			}
		}
		printRow(row.what, median(costs[0]), median(costs[1]))
	}
	return nil
}

// median is the middle of each column by itself. It is zero where nothing was measured.
func median(costs []cost) cost {
	if len(costs) == 0 {
		return cost{}
	}
	middle := func(column func(cost) int64) int64 {
		values := make([]int64, 0, len(costs))
		for _, c := range costs {
			values = append(values, column(c))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return cost{
		wall:      time.Duration(middle(func(c cost) int64 { return int64(c.wall) })),
		cpu:       time.Duration(middle(func(c cost) int64 { return int64(c.cpu) })),
		megabytes: middle(func(c cost) int64 { return c.megabytes }),
	}
}

func printRow(what string, plain, checker cost) {
	ratio := "-"
	if plain.cpu > 0 {
		ratio = fmt.Sprintf("%.1fx", checker.cpu.Seconds()/plain.cpu.Seconds())
	}
	fmt.Fprintf(os.Stdout, "%-42s %8.2f %8.2f %8.2f %8.2f %7s %5d MB\n", what,
		plain.cpu.Seconds(), plain.wall.Seconds(), checker.cpu.Seconds(), checker.wall.Seconds(), ratio, checker.megabytes)
}
