//go:build unix

package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
	"github.com/weirhq/weir/ingest"
)

// childEnv says what this binary does instead of its tests, in a process that
// may be killed.
const childEnv = "WEIR_SQLITE_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := child(context.Background(), strings.Fields(what)); err != nil {
			fmt.Println("child failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func child(ctx context.Context, args []string) error {
	dir := os.Getenv(childEnv + "_DIR")
	switch args[0] {
	case "page":
		return childPage(ctx, dir, args[1])
	case "deliveries":
		return childDeliveries(ctx, dir, strings.Join(args[1:], ""))
	case "full":
		return childFull(ctx, dir)
	default:
		return fmt.Errorf("unknown child %q", args[0])
	}
}

// childPage commits one page and dies by SIGKILL before the given statement.
func childPage(ctx context.Context, dir, statement string) error {
	n, err := strconv.ParseInt(statement, 10, 64)
	if err != nil {
		return err
	}
	var left atomic.Int64
	s, err := Open(ctx, Options{Dir: dir, manual: true, failpoint: func(string) error {
		if left.Load() > 0 && left.Add(-1) == 0 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				return err
			}
			select {}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	con, err := s.EnsureConnection(ctx, benchConnection)
	if err != nil {
		return err
	}
	saved, _, err := s.Checkpoint(ctx, con.ID, "pages", store.LaneLive)
	if err != nil {
		return err
	}
	left.Store(n)
	if _, err := s.Commit(ctx, storetest.NewPages(s, con.ID).Unit(saved, store.NewCommitID())); err != nil {
		return err
	}
	if left.Load() <= 0 {
		return errors.New("survived its failpoint")
	}
	return s.Close()
}

// childDeliveries commits deliveries from several goroutines, says which were
// acknowledged, and waits to be killed.
func childDeliveries(ctx context.Context, dir, synchronous string) error {
	s, err := Open(ctx, Options{Dir: dir, manual: true, synchronous: synchronous})
	if err != nil {
		return err
	}
	con, err := s.EnsureConnection(ctx, benchConnection)
	if err != nil {
		return err
	}
	var out sync.Mutex
	errs := make(chan error, 8)
	for round := range 2 {
		var writing sync.WaitGroup
		for w := range 4 {
			writing.Go(func() {
				for i := range 5 {
					id := fmt.Sprintf("%d-%d-%d", round, w, i)
					if _, err := s.Commit(ctx, deliveryUnit(con.ID, storetest.Epoch(s, con.ID), id)); err != nil {
						errs <- err
						return
					}
					out.Lock()
					fmt.Println("acknowledged", id)
					out.Unlock()
				}
			})
		}
		writing.Wait()
		if round == 0 {
			// The second round is in a log that starts again.
			if err := s.copyOnce(); err != nil {
				return err
			}
		}
	}
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	fmt.Println("done")
	select {}
}

var benchConnection = store.Connection{Project: "default", Name: "acme", Connector: "stripe", Type: "source", Enabled: true}

func deliveryUnit(connectionID string, epoch int64, id string) store.Unit {
	return store.Unit{
		ID: store.NewCommitID(), ConnectionID: connectionID, Epoch: epoch, At: time.Now(),
		Emissions: []ingest.Emission{{
			Stream: "s", Type: "customer", Operation: ingest.Upsert, Key: ingest.VersionKey("cus_"+id, "1"), Payload: []byte(`{"id":"` + id + `"}`),
		}},
		Reserve: &store.DeliveryKey{Endpoint: "stripe", Key: id, DeliveryID: "dlv_" + id},
	}
}

// process is a child of the test.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func spawn(t *testing.T, dir, what string, env ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(append(os.Environ(), childEnv+"="+what, childEnv+"_DIR="+dir), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return &process{cmd, bufio.NewScanner(out)}
}

// wait returns how the child ended.
func (p *process) wait(t *testing.T) (killed bool) {
	t.Helper()
	for p.lines.Scan() {
		require.NotContains(t, p.lines.Text(), "child failed")
	}
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status, ok := exit.Sys().(syscall.WaitStatus)
		require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "child ended with %v", err)
		return true
	}
	require.NoError(t, err)
	return false
}
