//go:build unix

package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/weirhq/weir/framework/internal/testneed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// suite stops the shared server before goroutines are counted.
type suite struct{ *testing.M }

// Run runs the tests.
func (s suite) Run() int {
	defer shared.end()
	return s.M.Run()
}

// cluster is a PostgreSQL server of the tests' own, with its data in a folder
// of its own.
type cluster struct {
	once sync.Once
	err  error
	// bin is the folder of the server's programs, dir holds data and sockets.
	bin, dir string
	port     int
	process  *exec.Cmd
	exited   chan struct{}
	log      bytes.Buffer
	logMu    sync.Mutex
	account  account
	next     atomic.Int64
	// used are databases that a test has left empty.
	usedMu sync.Mutex
	used   []string
}

// account is the user that servers run as.
type account struct {
	uid, gid   uint32
	switchUser bool
}

// shared is the cluster of all tests that do not kill it.
var shared cluster

// Write takes the server's log.
func (c *cluster) Write(p []byte) (int, error) {
	c.logMu.Lock()
	defer c.logMu.Unlock()
	return c.log.Write(p)
}

func (c *cluster) text() string {
	c.logMu.Lock()
	defer c.logMu.Unlock()
	return c.log.String()
}

// database makes an empty database for one test and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	return shared.started(t).database(t)
}

// usedDatabase returns a database for one test that may have served another one
// before and was emptied: making one costs more than most tests. The test must
// not change the schema, but for [poison].
func usedDatabase(t testing.TB) string {
	t.Helper()
	c := shared.started(t)
	c.usedMu.Lock()
	url := ""
	if n := len(c.used); n > 0 {
		url, c.used = c.used[n-1], c.used[:n-1]
	}
	c.usedMu.Unlock()
	if url == "" {
		url = c.database(t)
	}
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		require.NoError(t, empty(url))
		c.usedMu.Lock()
		defer c.usedMu.Unlock()
		c.used = append(c.used, url)
	})
	return url
}

// empty removes what tests have left in the database of url.
func empty(url string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	// Deleting a few rows is faster than truncating fifty tables.
	_, err = conn.PgConn().Exec(ctx, `
		DROP TRIGGER IF EXISTS refuse ON events;
		DROP FUNCTION IF EXISTS refuse();
		DO $$ DECLARE t regclass; BEGIN
			FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
				AND relnamespace = 'public'::regnamespace AND relname NOT IN ('schema_migrations', 'leases', 'segments', 'shards')
			LOOP EXECUTE 'DELETE FROM ' || t; END LOOP;
		END $$;
		UPDATE shards SET epoch = 0, node = NULL`).ReadAll()
	return err
}

// started starts the cluster for the first test that needs it.
func (c *cluster) started(t testing.TB) *cluster {
	t.Helper()
	postgres := testneed.Tool(t, "postgresql", "/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres",
		"/opt/homebrew/opt/postgresql@*/bin/postgres", "/usr/local/opt/postgresql@*/bin/postgres", "postgres")
	c.once.Do(func() { c.err = c.create(filepath.Dir(postgres)) })
	require.NoError(t, c.err)
	return c
}

// newCluster starts a cluster that a test may kill.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{}
	c.started(t)
	t.Cleanup(c.end)
	return c
}

func (c *cluster) create(bin string) (err error) {
	c.bin = bin
	if c.account, err = findAccount(); err != nil {
		return err
	}
	// Short: the path of a socket has at most 107 bytes.
	if c.dir, err = os.MkdirTemp("", "weirpg"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.dir))
		}
	}()
	if err := c.own(c.dir); err != nil {
		return err
	}
	initdb := c.command("initdb", "-D", c.data(), "-U", "weir", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return c.start()
}

func findAccount() (a account, err error) {
	if os.Getuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		return account{uint32(uid), uint32(gid), true}, errors.Join(uidErr, gidErr)
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

// own gives a path to the account of the servers.
func (c *cluster) own(path string) error {
	if !c.account.switchUser {
		return nil
	}
	return os.Chown(path, int(c.account.uid), int(c.account.gid))
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), filepath.Join(c.bin, name), args...)
	cmd.SysProcAttr = child(c.account.uid, c.account.gid, c.account.switchUser)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=America/St_Johns"}
	return cmd
}

// start starts the server and waits until it answers. After a kill it waits
// until the processes of the last server are gone.
func (c *cluster) start() error {
	if c.port == 0 {
		port, err := freePort()
		if err != nil {
			return err
		}
		c.port = port
	}
	deadline := time.Now().Add(time.Minute)
	for {
		c.process = c.command("postgres", "-D", c.data(), "-k", c.dir, "-h", "127.0.0.1", "-p", strconv.Itoa(c.port),
			"-c", "fsync=on", "-c", "max_connections=300", "-c", "shared_buffers=128MB", "-c", "max_wal_size=2GB",
			"-c", "log_min_messages=warning", "-c", "timezone=America/St_Johns")
		c.process.Stdout, c.process.Stderr = c, c
		if err := c.process.Start(); err != nil {
			return err
		}
		exited, process := make(chan struct{}), c.process
		c.exited = exited
		go func() {
			_ = process.Wait()
			close(exited)
		}()
		err := c.answers(deadline)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("start server: %w\n%s", err, c.text())
		}
	}
}

var errExited = errors.New("the server has ended")

func (c *cluster) answers(deadline time.Time) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-c.exited:
			return errExited
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	if err := l.Close(); err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

func (c *cluster) url(name string) string {
	return fmt.Sprintf("postgres://weir@127.0.0.1:%d/%s?sslmode=disable", c.port, name)
}

func (c *cluster) database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", c.next.Add(1))
	conn := dial(t, c.url("postgres"))
	_, err := conn.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return c.url(name)
}

// dial connects a test to a database.
func dial(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) }) //nolint:usetesting // the context of the test has ended by then
	return conn
}

// kill ends the server and all its processes without a word.
func (c *cluster) kill(t testing.TB) {
	t.Helper()
	processes := append([]int{c.process.Process.Pid}, children(t, c.process.Process.Pid)...)
	for _, pid := range processes {
		// Some end by themselves when the first is gone.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			require.ErrorIs(t, err, syscall.ESRCH)
		}
	}
	<-c.exited
}

// children lists the processes that pid has started.
func children(t testing.TB, pid int) (list []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		require.NoError(t, err)
		// pid (name) state parent …; the name may hold anything.
		after := text[bytes.LastIndexByte(text, ')')+1:]
		if fields := strings.Fields(string(after)); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(strings.Split(path, "/")[2])
			require.NoError(t, err)
			list = append(list, child)
		}
	}
	return list
}

// end stops the server at once and removes its data.
func (c *cluster) end() {
	if c.process == nil {
		return
	}
	select {
	case <-c.exited:
	default:
		// Immediate shutdown: the data is thrown away.
		_ = c.process.Process.Signal(syscall.SIGQUIT)
		<-c.exited
	}
	_ = os.RemoveAll(c.dir)
}
