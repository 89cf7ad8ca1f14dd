package cli_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// postgresServer starts a PostgreSQL server of the test's own and returns the
// address of its empty database.
func postgresServer(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	require.NoError(t, err)
	if len(found) == 0 {
		if ci, _ := strconv.ParseBool(os.Getenv("CI")); ci {
			t.Fatal("needs PostgreSQL, which is not here; `make setup` installs it where it can")
		}
		t.Skip("needs PostgreSQL, which is not here; `make setup` installs it where it can") //nolint:forbidigo // as testneed.Tool, which is internal to framework
	}
	dir, err := os.MkdirTemp("", "weirpg") //nolint:usetesting // short: a socket's path has at most 107 bytes
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		attributes.Credential = ordinaryUser(t)
		require.NoError(t, os.Chown(dir, int(attributes.Credential.Uid), int(attributes.Credential.Gid)))
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(filepath.Dir(slices.Max(found)), name), args...)
		c.SysProcAttr, c.Dir, c.Env = attributes, dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
		return c
	}
	data := filepath.Join(dir, "data")
	out, err := command("initdb", "-D", data, "-U", "weir", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput()
	require.NoError(t, err, "%s", out)
	log := &lockedBuffer{}
	var url string
	for range 5 { // another program may take the port in between
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := listener.Addr().String()
		require.NoError(t, listener.Close())
		_, port, _ := strings.Cut(address, ":")
		server := command("postgres", "-D", data, "-k", dir, "-h", "127.0.0.1", "-p", port)
		server.Stdout, server.Stderr = log, log
		require.NoError(t, server.Start())
		ended := make(chan struct{})
		go func() {
			_ = server.Wait()
			close(ended)
		}()
		url = fmt.Sprintf("postgres://weir@%s/postgres?sslmode=disable", address)
		if answers(t, url, ended) {
			t.Cleanup(func() {
				require.NoError(t, server.Process.Signal(os.Interrupt)) // a fast shutdown
				<-ended
			})
			return url
		}
	}
	t.Fatalf("PostgreSQL does not start: %s", log)
	return ""
}

func answers(t *testing.T, url string, ended <-chan struct{}) bool {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-t.Context().Done():
			t.Fatal("the test ended")
		case <-ticker.C:
		}
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			require.NoError(t, conn.Close(t.Context()))
			return true
		}
	}
}

// ordinaryUser is somebody who is not root, whom PostgreSQL refuses.
func ordinaryUser(t *testing.T) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		require.NoError(t, errors.Join(uidErr, gidErr))
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Fatal("there is neither a user postgres nor nobody")
	return nil
}

func TestALaterVersionOfAConnectorGoesOnOnPostgres(t *testing.T) {
	t.Parallel()
	long(t)
	requireUpgrade(t, buildUpgrade(t, postgresServer(t)))
}

// Nodes of two versions work on one store. The older one, which does not know of
// the rename, begins no stream beside the renamed one: what it takes is kept for
// the newer one.
func TestNodesOfTwoVersionsOfAConnectorShareAStore(t *testing.T) {
	t.Parallel()
	long(t)
	u := buildUpgrade(t, postgresServer(t))
	older := u.start(t, u.first)
	older.stream(t, "customers", filled)
	require.Equal(t, http.StatusOK, older.deliver(t, 1))
	older.offset(t, "shop.customers", 0, 1)
	older.offset(t, "shop.events", 1, 0)
	events, _ := older.logged(t, "events")

	newer := u.start(t, u.later)
	newer.stream(t, "notices", func(total int64, _ string) bool { return total == 1 })
	for n := 2; n <= 4; n++ {
		require.Equal(t, http.StatusOK, older.deliver(t, n))
	}
	require.Equal(t, http.StatusOK, newer.deliver(t, 5))
	older.stream(t, "events", func(total int64, _ string) bool { return total == 0 })
	require.NoError(t, older.interrupt(t), older.stderr)

	reasons := newer.handleWaiting(t)
	require.Len(t, reasons, 3)
	for _, reason := range reasons {
		require.Contains(t, reason, `stream "events" is "notices" now: a newer version of the connector renamed the stream`)
	}
	newer.stream(t, "notices", func(total int64, _ string) bool { return total == 5 })
	ids, records := newer.logged(t, "notices")
	require.Equal(t, events[0], ids[0])
	require.ElementsMatch(t, []string{"r1", "r2", "r3", "r4", "r5"}, records, "nothing is lost, nothing is there twice")
	newer.offset(t, "shop.notices", 5, 0)
	require.Equal(t, []int{1, 1, 1, 1, 1}, u.received.got(ids))
	code, _, stderr := weir(t, nil, nil, "sync", "shop", "clients", "--server", newer.url)
	require.Zero(t, code, stderr)
	_, records = newer.logged(t, "clients")
	require.Equal(t, []string{"r1", "r2"}, records)
	var list struct {
		Streams []streamRow `json:"streams"`
	}
	get(t, newer.url+"/api/v1/streams", &list)
	for _, s := range list.Streams {
		require.NotContains(t, []string{"customers", "events"}, s.Stream)
	}
	require.NoError(t, newer.interrupt(t), newer.stderr)
}
