package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// role is what a process of its own does. It calls ready with the address that it serves, works
// until ctx ends, and returns how many transactions it has committed, -1 where it cannot tell.
type role func(ctx context.Context, o childOptions, ready func(addr string)) (commits int64, err error)

type childOptions struct {
	// Role is the key of roles; Dir holds the store, unless Postgres is the URL of one.
	Role, Dir, Postgres string
	// Secret is that of the deliveries, API the address of the pages to poll.
	Secret, API string
	// Records are how many the role weir-poll has to read.
	Records int
	// Profile is the file of a CPU profile, or "".
	Profile string
	// Sinks are connections that deliver, beside the one that receives.
	Sinks []benchSink
	// Deaf keeps a node from hearing over LISTEN what others have recorded.
	Deaf bool
	// Trigger is the path of a trigger of the action tell, or "" for none. Aside is
	// the address that tells of the process itself, or "".
	Trigger, Aside string
	// InFlight and Batch say how the floor delivers to API.
	InFlight, Batch int
}

var roles = map[string]role{
	"weir":           serveWeir,
	"floor-sqlite":   serveFloorSQLite,
	"floor-postgres": serveFloorPostgres,
	"weir-poll":      pollWeir,
	"floor-poll":     pollFloor,
	"floor-deliver":  deliverFloor,
	"floor-crowd":    crowdFloor,
}

// benchSink is a connection of type sink.
type benchSink struct {
	Name     string
	Settings map[string]any
}

// ended is the last line of a child.
type ended struct {
	Commits int64 `json:"commits"`
}

// child is the other side of start.
func child(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	// A thousand sinks are too long for an argument.
	var o childOptions
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return fmt.Errorf("read options: %w", err)
	}
	work, ok := roles[o.Role]
	if !ok {
		return fmt.Errorf("there is no role %q", o.Role)
	}
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	commits, err := work(ctx, o, func(addr string) { fmt.Println("ready", addr) })
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(ended{commits})
}

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	// Addr is what it serves.
	Addr string
}

// start starts a child and waits until it is ready.
func start(ctx context.Context, o childOptions) (*process, error) {
	encoded, err := json.Marshal(o) //nolint:gosec // the secret was made for this turn
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self, "child")} //nolint:gosec // it is this program
	p.cmd.Stdin = bytes.NewReader(encoded)
	p.cmd.Stderr = os.Stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 30 * time.Second
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", o.Role, err), p.cmd.Wait())
	}
	p.Addr = strings.TrimSpace(strings.TrimPrefix(line, "ready "))
	return p, nil
}

// stop ends the child and returns its last words.
func (p *process) stop() (ended, error) {
	var e ended
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return e, err
	}
	return p.finish()
}

// finish waits for the child's last words.
func (p *process) finish() (ended, error) {
	var e ended
	last, err := io.ReadAll(p.stdout)
	if err := errors.Join(err, p.cmd.Wait()); err != nil {
		return e, err
	}
	return e, json.Unmarshal(last, &e)
}
