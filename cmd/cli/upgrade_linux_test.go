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

	"github.com/weirhq/weir/framework/store"
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
// the rename, begins no stream beside the renamed one: the newer one gets the work
// of the connection, with what the older one has kept of it, and has it for good.
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
	// Wherever the connection was: now the newer version reads it, and goes on where
	// the older one was.
	u.moves(t, newer, older)
	for _, reason := range newer.handleWaiting(t) {
		require.Contains(t, reason, `stream "events" is "notices" now: a newer version of the connector renamed the stream`)
	}
	newer.stream(t, "notices", func(total int64, _ string) bool { return total == 5 })
	older.stream(t, "events", func(total int64, _ string) bool { return total == 0 })
	ids, records := newer.logged(t, "notices")
	require.Equal(t, events[0], ids[0])
	require.ElementsMatch(t, []string{"r1", "r2", "r3", "r4", "r5"}, records, "nothing is lost, nothing is there twice")
	newer.offset(t, "shop.notices", 5, 0)
	require.Equal(t, []int{1, 1, 1, 1, 1}, u.received.got(ids))

	// A newer node that restarts leaves the connection to the older one, which can
	// read what has not changed, and gets it back.
	require.NoError(t, newer.interrupt(t), newer.stderr)
	older.stream(t, "orders", func(_ int64, lastError string) bool {
		return strings.Contains(lastError, "a newer version of the connector was here")
	})
	_, steady := older.logged(t, "steady")
	older.stream(t, "steady", func(total int64, _ string) bool { return total > int64(len(steady)) })
	newer = u.start(t, u.later)
	u.moves(t, newer, older)

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
	require.NoError(t, older.interrupt(t), older.stderr)
	require.NoError(t, newer.interrupt(t), newer.stderr)
}

// moves waits until the newer node, the last one that joined, has the leases of the
// connection and of its sink, and then sees that they stay there while both are there.
func (u upgrade) moves(t *testing.T, newer, older *process) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), u.store)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var shards []int
	rows, err := conn.Query(t.Context(), "SELECT id FROM connections")
	require.NoError(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, id := range ids {
		shards = append(shards, store.Shard(id))
	}
	require.Len(t, shards, 2)
	leases := func() (epochs string, moved bool) {
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT string_agg(shard || ':' || epoch, ' ' ORDER BY shard),
			bool_and(node IS NOT DISTINCT FROM (SELECT max(num) FROM nodes)) FROM shards WHERE shard = ANY ($1)`, shards).Scan(&epochs, &moved))
		return epochs, moved
	}
	require.Eventually(t, func() bool {
		_, moved := leases()
		return moved
	}, 60*time.Second, 50*time.Millisecond, "%s\n%s", newer.stderr, older.stderr)
	settled, _ := leases()
	_, before := newer.logged(t, "orders")
	newer.stream(t, "orders", func(total int64, lastError string) bool { return total > int64(len(before))+1 && lastError == "" })
	seen := map[string]bool{}
	require.Eventually(t, func() bool {
		rows, err := conn.Query(t.Context(), "SELECT num || ' ' || renewed_at FROM nodes")
		require.NoError(t, err)
		beats, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Len(t, beats, 2, "%s\n%s", newer.stderr, older.stderr)
		for _, b := range beats {
			seen[b] = true
		}
		return len(seen) > 8
	}, 120*time.Second, 50*time.Millisecond)
	now, _ := leases()
	require.Equal(t, settled, now, "a lease went back and forth\n%s\n%s", newer.stderr, older.stderr)
}
