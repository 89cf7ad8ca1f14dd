package cli_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/cmd/cli"
	"github.com/weirhq/weir/connectors/all"
	"github.com/weirhq/weir/framework/store/postgres"
	"github.com/weirhq/weir/framework/store/sqlite"
)

func TestDoctorNamesWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	// Nobody listens on a port that was just given back.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nowhere := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	ask := func(content string, args ...string) (int, string) {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		code, out, stderr := weir(t, nil, nil, append([]string{"doctor", "--config", file, "--data-dir", filepath.Join(dir, "data"), "--server", nowhere, "--offline"}, args...)...)
		require.Empty(t, stderr)
		return code, out
	}
	code, out := ask("listen: 127.0.0.1:0\n")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "ok       store")
	require.Contains(t, out, "skipped  streams")

	data := filepath.Join(dir, "data")
	made, err := sqlite.Open(t.Context(), sqlite.Options{Dir: data})
	require.NoError(t, err)
	code, out = ask("listen: 127.0.0.1:0\n")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "is in use")
	require.NoError(t, made.Close())
	code, out = ask("listen: 127.0.0.1:0\n")
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "every page is sound")
	require.NoError(t, os.WriteFile(filepath.Join(data, "weir.db"), []byte(strings.Repeat("no store ", 1000)), 0o600))
	code, out = ask("listen: 127.0.0.1:0\n")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "restore a backup with weir restore")

	code, out = ask("connections:\n  - name: pay\n    connector: stripe\n    rate_limit: often\n    config: {api_key: \"${WEIR_DOCTOR_NOT_SET}\"}\n")
	require.Equal(t, 1, code)
	require.Contains(t, out, "WEIR_DOCTOR_NOT_SET is not set")
	require.Contains(t, out, "is no rate")
	require.GreaterOrEqual(t, strings.Count(out, "->"), 2, "each finding says what to do")

	code, out = ask("listen: 127.0.0.1:0\n", "--store", "postgres://weir@127.0.0.1:1/none", "--json")
	require.Equal(t, 1, code)
	require.Contains(t, out, `"check": "store"`)
	require.Contains(t, out, `"do": "start the database`)
}

func TestDoctorJudgesADatabase(t *testing.T) {
	t.Parallel()
	sound := postgres.Condition{Schema: 7, Known: 7, Fsync: true, Standbys: 2, Synchronous: 1, RoundTrip: time.Millisecond}
	told := cli.DoctorDatabase(sound)
	require.NotContains(t, told, "error")
	require.NotContains(t, told, "warning")
	for want, spoil := range map[string]func(*postgres.Condition){
		"error store: PostgreSQL: this server is a standby":                    func(c *postgres.Condition) { c.ReadOnly = true },
		"error store: PostgreSQL: the schema has version 8, this Weir knows":   func(c *postgres.Condition) { c.Schema = 8 },
		"error store: PostgreSQL: fsync or full_page_writes is off":            func(c *postgres.Condition) { c.Fsync = false },
		"error clock: the database's clock differs from this machine's by 3s":  func(c *postgres.Condition) { c.Skew = 3 * time.Second },
		"error clock: the database's clock differs from this machine's by -1h": func(c *postgres.Condition) { c.Skew = -time.Hour },
		"warning standby: 2 standbys, none of them synchronous":                func(c *postgres.Condition) { c.Synchronous = 0 },
		"warning standby: the database has no standby":                         func(c *postgres.Condition) { c.Synchronous, c.Standbys = 0, 0 },
	} {
		c := sound
		spoil(&c)
		told := cli.DoctorDatabase(c)
		require.Contains(t, told, want)
		require.NotRegexp(t, `(error|warning) .* -> \n`, told, "each finding says what to do")
	}
}

func TestDoctorJudgesADiskAsTheStoreDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		space sqlite.Space
		store bool
		want  string
	}{
		{sqlite.Space{Free: 500 << 20, Size: 1 << 30}, true, "ok disk"},
		{sqlite.Space{Free: 70 << 20, Size: 1 << 30}, true, "warning disk"},
		{sqlite.Space{Free: 40 << 20, Size: 1 << 30}, true, "error disk: " + dir + " has 40 MiB free and 51 MiB must be: webhooks are refused"},
		{sqlite.Space{Free: 40 << 20, Size: 1 << 30}, false, "warning disk"},
		{sqlite.Space{Free: 3 << 30, Size: 1 << 40}, true, "ok disk"}, // at most 1 GiB is kept free
	} {
		require.Contains(t, cli.DoctorDisk(dir, c.space, c.store), c.want, "%+v", c)
		require.Equal(t, c.space.Low() && c.store, strings.Contains(c.want, "error"))
	}
}

func TestDoctorLooksAtSecretsSchedulesHostsAndStreams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := listener.Addr().String()
	require.NoError(t, listener.Close())
	server := answering(t, func(int, *http.Request) (int, string) {
		return http.StatusOK, `{"streams":[{"connection":"shop","stream":"orders","state":"failing","last_error":"refused: 401"},
			{"connection":"shop","stream":"customers","state":"idle","alarms":[{"kind":"late","detail":"no success for 3h"}]}]}`
	})
	file := filepath.Join(dir, "weir.yaml")
	ask := func(mode os.FileMode, content string) string {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		require.NoError(t, os.Chmod(file, mode))
		_, out, stderr := weir(t, nil, all.Plugins(), "doctor", "--config", file, "--data-dir", filepath.Join(dir, "data"), "--server", server)
		require.Empty(t, stderr)
		return strings.Join(strings.Fields(out), " ")
	}
	shop := "connections:\n  - name: shop\n    connector: demo\n    config: {base_url: %q, webhook_secret: %s}\n"
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

	out := ask(0o644, fmt.Sprintf(shop, server, secret))
	require.Contains(t, out, "warning secrets "+file+" holds 1 secrets itself, and others on this machine may read it -> chmod 600")
	require.Contains(t, out, "error streams shop.orders is failing: refused: 401 -> ")
	require.Contains(t, out, "warning streams shop.customers, late: no success for 3h -> ")
	out = ask(0o600, fmt.Sprintf(shop, server, secret))
	require.Contains(t, out, "ok secrets 1 secrets, 1 of them written in the file itself")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(secret), 0o600))
	out = ask(0o644, fmt.Sprintf(shop, server, "'${file:"+filepath.Join(dir, "secret")+"}'"))
	require.Contains(t, out, "ok secrets 1 secrets, 0 of them written in the file itself")
	out = ask(0o600, fmt.Sprintf(shop, server, "[{secret: "+secret+", until: 2020-01-01T00:00:00Z}]"))
	require.Contains(t, out, "error secrets shop, endpoint orders: every secret of webhook_secret has expired")
	out = ask(0o600, fmt.Sprintf(shop, server, "[{secret: "+secret+"}, {secret: whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, until: 2020-01-01T00:00:00Z}]"))
	require.Contains(t, out, "warning secrets shop, endpoint orders: 1 of 2 secrets of webhook_secret have expired")

	polled := "listen: 127.0.0.1:0\nconnections:\n  - name: api\n    connector: http\n    config: {endpoint: %q, schedule: %q, stream: things}\n"
	out = ask(0o600, fmt.Sprintf(polled, server+"/x", "0 0 31 2 *"))
	require.Regexp(t, "error configuration .*never fires.* -> mend", out)
	out = ask(0o600, fmt.Sprintf(polled, "http://"+nobody+"/x", "*/5 * * * *"))
	require.Contains(t, out, "error hosts "+nobody+" (api) cannot be reached")
	out = ask(0o600, fmt.Sprintf(polled, server+"/x", "*/5 * * * *"))
	require.Contains(t, out, "ok hosts "+strings.TrimPrefix(server, "http://")+" answers")
	require.Contains(t, out, "ok schedules 1 polled streams")
}
