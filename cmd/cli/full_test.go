//go:build cgo && linux

package cli_test

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The disk of a Weir at work is taken away and given back.
func TestWithoutADiskWebhooksGet503AndItHealsWithoutARestart(t *testing.T) {
	t.Parallel()
	long(t)
	program := buildFaults(t)
	for name, take := range map[string]func(t *testing.T, p *process, dir string) (restore func()){"full": fill, "read-only": forbid} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withoutDisk(t, program, take)
		})
	}
}

// fill plays a full disk by a limit on the size of the process's files, which is
// set from outside while it runs, and lifted.
func fill(t *testing.T, p *process, _ string) (restore func()) {
	t.Helper()
	var room unix.Rlimit
	require.NoError(t, unix.Prlimit(p.Process.Pid, unix.RLIMIT_FSIZE, nil, &room))
	full := unix.Rlimit{Cur: 8 << 10, Max: room.Max}
	require.NoError(t, unix.Prlimit(p.Process.Pid, unix.RLIMIT_FSIZE, &full, nil))
	return func() { require.NoError(t, unix.Prlimit(p.Process.Pid, unix.RLIMIT_FSIZE, &room, nil)) }
}

// forbid makes the files of the store immutable: nothing else takes the right to
// write from a file that is open.
func forbid(t *testing.T, _ *process, dir string) (restore func()) {
	t.Helper()
	files := []string{filepath.Join(dir, "weir-data", "weir.db"), filepath.Join(dir, "weir-data", "weir.db-wal")}
	set := func(flag string) ([]byte, error) {
		return exec.CommandContext(context.WithoutCancel(t.Context()), "chattr", append([]string{flag}, files...)...).CombinedOutput()
	}
	t.Cleanup(func() { _, _ = set("-i") }) // or the folder could not be removed
	if out, err := set("+i"); err != nil {
		//nolint:forbidigo // few file systems know it, and the full disk is tested everywhere
		t.Skipf("needs the right to make files immutable, and a file system that knows it: %s", out)
	}
	return func() {
		out, err := set("-i")
		require.NoError(t, err, "%s", out)
	}
}

// withoutDisk takes the disk from a Weir at work, sees how it says so, gives it
// back, and checks that nothing is lost.
func withoutDisk(t *testing.T, program string, take func(t *testing.T, p *process, dir string) (restore func())) {
	t.Helper()
	shop := newFaultShop(t)
	dir := shop.configure(t)
	p := startProgram(t, dir, program, "run", "--listen", "127.0.0.1:0")
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	load.Go(func() { shop.work(ctx, p.url) })
	taken := func(more int) {
		t.Helper()
		_, before := shop.count()
		require.Eventually(t, func() bool { _, now := shop.count(); return now >= before+more }, 30*time.Second, 10*time.Millisecond,
			"no webhooks are taken: %s", p.stderr)
	}
	taken(30)

	restore := take(t, p, dir)
	require.Eventually(t, func() bool { return get(t, p.url+"/readyz", nil) == http.StatusServiceUnavailable }, 30*time.Second, 10*time.Millisecond)
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	for range 5 {
		status, retryAfter := letter{ID: "note-extra"}.send(t.Context(), client, p.url)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.NotEmpty(t, retryAfter)
	}
	require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/streams", nil), "what is there can be read")
	require.Equal(t, http.StatusOK, get(t, p.url+"/api/v1/connections/shop/streams/things/events", nil))
	require.Regexp(t, "store cannot be written|outcome of a commit is not known", p.stderr.String())
	require.Eventually(t, func() bool { return strings.Contains(p.stderr.String(), "the page is kept and tried again") }, 30*time.Second, 10*time.Millisecond,
		"the poll waits, and says so")

	restore()
	require.Eventually(t, func() bool { return get(t, p.url+"/readyz", nil) == http.StatusOK }, 30*time.Second, 10*time.Millisecond,
		"there is room again: %s", p.stderr)
	taken(30)
	stop()
	load.Wait()
	p.settle(t, shop)
	require.NoError(t, p.interrupt(t), p.stderr)
	shop.agree(t, dir)
	require.Equal(t, "ok", strings.TrimSpace(integrity(t, dir)))
}
