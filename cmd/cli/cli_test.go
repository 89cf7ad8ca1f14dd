package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/connectors/all"
	"github.com/weirhq/weir/connectors/demo"
	"github.com/weirhq/weir/framework"
)

func TestScripts(t *testing.T) {
	t.Parallel()
	checkout, err := filepath.Abs("../..")
	require.NoError(t, err)
	// What is built in a script is there already; what the checker remembers is the script's own.
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		// "long" scripts run with make test-all only.
		Condition: func(name string) (bool, error) { return name == "long" && os.Getenv("WEIR_TEST_ALL") != "", nil },
		Setup: func(e *testscript.Env) error {
			e.Setenv("CHECKOUT", checkout)
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, ".cache"))
			e.Setenv("GOCACHE", strings.TrimSpace(string(cache)))
			for _, name := range []string{"HOME", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS", "GONOSUMDB", "GONOSUMCHECK", "GOSUMDB"} {
				if v, ok := os.LookupEnv(name); ok {
					e.Setenv(name, v)
				}
			}
			return nil
		},
	})
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"version"}},
		{0, []string{"--help"}},
		{0, []string{"catalog", "stripe"}},
		{1, []string{"catalog", "nobody"}},
		{2, []string{"frobnicate"}},
		{2, []string{"run", "--nonsense"}},
		{2, []string{"run", "--config", filepath.Join(t.TempDir(), "none.yaml")}},
		{2, []string{"run", "--log-level", "loud"}},
		{2, []string{"events", "only-one"}},
		{3, []string{"status", "--server", "http://127.0.0.1:1"}},
		{2, []string{"status", "--server", "://"}},
	} {
		code, _, stderr := weir(t, nil, all.Plugins(), c.args...)
		require.Equal(t, c.code, code, "%v: %s", c.args, stderr)
	}
}

func TestTheEnvironmentSetsFlags(t *testing.T) {
	t.Parallel()
	code, _, stderr := weir(t, map[string]string{"WEIR_SERVER": "http://127.0.0.1:1"}, nil, "status")
	require.Equal(t, 3, code)
	require.Contains(t, stderr, "http://127.0.0.1:1")
	code, _, stderr = weir(t, map[string]string{"WEIR_LIMIT": "many"}, nil, "events", "a", "b")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "WEIR_LIMIT")
}

func TestACatalogWithErrorsRefusesTheStartWithEveryFinding(t *testing.T) {
	t.Parallel()
	bad := catalog.Connector{Key: "bad", Streams: []catalog.Stream{
		catalog.Poll[string, string]("Upper", catalog.PollSpec{Schedule: "never"}),
		catalog.Webhook[string]("events"),
	}}
	plugin := framework.Define(bad, func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) { return nil, nil })
	file := filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte("connections: []\n"), 0o600))
	code, _, stderr := weir(t, nil, []framework.Plugin{plugin, plugin}, "run", "--config", file, "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0")
	require.Equal(t, 1, code)
	for _, rule := range []string{"SC102", "SC110", "SC301", "SC501"} {
		require.Contains(t, stderr, rule)
	}
}

func TestAnOpenManagementAPIRefusesTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte("connections: []\n"), 0o600))
	code, _, stderr := weir(t, nil, nil, "run", "--config", file, "--data-dir", t.TempDir(), "--listen", "0.0.0.0:0")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "WEIR_ADMIN_TOKEN")
}

func TestTheDemoFillsItsStreamsAndStopsCleanly(t *testing.T) {
	t.Parallel()
	p := start(t, "demo", "--listen", "127.0.0.1:0")
	var list streamList
	require.Eventually(t, func() bool {
		list = streamList{}
		return get(t, p.url+"/api/v1/streams", &list) == http.StatusOK && list.allHealthyAndFilled()
	}, 60*time.Second, 100*time.Millisecond, "%+v", &list)
	require.Len(t, list.Streams, 3)
	for _, s := range list.Streams {
		require.NotEmpty(t, s.Description, "the doc comment of %s is its description", s.Stream)
	}

	code, stdout, stderr := weir(t, nil, nil, "status", "--server", p.url)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "demo.customers")
	code, stdout, _ = weir(t, nil, nil, "status", "--json", "--server", p.url)
	require.Zero(t, code)
	var printed streamList
	require.NoError(t, json.Unmarshal([]byte(stdout), &printed))
	require.Len(t, printed.Streams, 3)

	code, stdout, stderr = weir(t, nil, nil, "events", "demo", "customers", "--json", "--limit", "600", "--server", p.url)
	require.Zero(t, code, stderr)
	for i, line := range strings.Split(strings.TrimSpace(stdout), "\n") {
		var event struct {
			SpecVersion string `json:"specversion"`
			Sequence    int    `json:"weirsequence"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event))
		require.Equal(t, "1.0", event.SpecVersion)
		require.Equal(t, i+1, event.Sequence, "sequences have no gap")
	}
	code, _, stderr = weir(t, nil, nil, "events", "demo", "nothing", "--server", p.url)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "nothing")
	require.NoError(t, p.interrupt(t), p.stderr)
}

func TestASecondProcessOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, "demo", "--listen", "127.0.0.1:0", "--data-dir", dir)
	code, _, stderr := weir(t, nil, nil, "demo", "--listen", "127.0.0.1:0", "--data-dir", dir)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, fmt.Sprint(p.Process.Pid), "the error says who holds the folder")
	require.NoError(t, p.interrupt(t), p.stderr)
}

func TestARelativeDataFolderIsBelowTheWorkingFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte("data_dir: kept\n"), 0o600))
	p := startIn(t, dir, "run", "--listen", "127.0.0.1:0")
	require.NoError(t, p.interrupt(t), p.stderr)
	stores, err := filepath.Glob(filepath.Join(dir, "kept", "*.db"))
	require.NoError(t, err)
	require.Len(t, stores, 1)
	p = startIn(t, dir, "run", "--listen", "127.0.0.1:0", "--store", "sqlite:elsewhere")
	require.NoError(t, p.interrupt(t), p.stderr)
	stores, err = filepath.Glob(filepath.Join(dir, "kept", "elsewhere", "*.db"))
	require.NoError(t, err)
	require.Len(t, stores, 1)
}

func TestAResetReadsEverythingAgainAndRecordsNothingTwice(t *testing.T) {
	t.Parallel()
	p := start(t, "demo", "--listen", "127.0.0.1:0")
	server := "--server=" + p.url
	require.Eventually(t, func() bool {
		code, _, _ := weir(t, nil, nil, "sync", "demo", "customers", server)
		return code == 0
	}, 30*time.Second, 50*time.Millisecond)
	duplicates := func() (n int64) {
		var list streamList
		get(t, p.url+"/api/v1/streams", &list)
		for _, s := range list.Streams {
			if s.Stream == "customers" {
				n = s.DuplicatesTotal
			}
		}
		return n
	}
	before := duplicates()
	code, _, stderr := weir(t, nil, nil, "reset", "demo", "customers", server)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "--yes")
	require.Eventually(t, func() bool {
		code, _, stderr = weir(t, nil, nil, "reset", "demo", "customers", "--yes", server)
		return code == 0
	}, 30*time.Second, 50*time.Millisecond, "%s", stderr)
	code, _, stderr = weir(t, nil, nil, "sync", "demo", "customers", server)
	require.Zero(t, code, stderr)
	// A run of the schedule may have read the first pages. The shop has 25 customers or more.
	require.Eventually(t, func() bool { return duplicates() >= before+20 }, 30*time.Second, 50*time.Millisecond, "it did not start over")
	code, _, stderr = weir(t, nil, nil, "reset", "demo", "order_events", "--yes", server)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "fed by webhooks")
	require.NoError(t, p.interrupt(t), p.stderr)
}

// The process is killed in the middle of its work again and again. After it,
// what a receiver of the log has is what the shop has.
func TestKilledProcessesLoseNothingAndRepeatNothing(t *testing.T) {
	t.Parallel()
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	shop, err := demo.Serve(t.Context(), demo.ServeConfig{
		Interval: 20 * time.Millisecond, Provider: demo.Config{Seed: 7, Customers: 400, Orders: 400, MaxObjects: 600, DoublePercent: 20, LatePercent: 20},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, shop.Close()) }()
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
data_dir: `+dir+`
connections:
  - name: shop
    connector: demo
    config: {base_url: "`+shop.URL+`", webhook_secret: "`+secret+`"}
`), 0o600))
	for round := range 6 {
		p := start(t, "run", "--config", file, "--listen", "127.0.0.1:0")
		require.NoError(t, shop.SetWebhook(p.url+"/webhooks/shop/orders", secret))
		require.Eventually(t, func() bool {
			var list streamList
			get(t, p.url+"/api/v1/streams", &list)
			for _, s := range list.Streams {
				if s.Stream == "order_events" {
					return s.EventsTotal > int64(20*round)
				}
			}
			return false
		}, 30*time.Second, 10*time.Millisecond)
		p.kill()
	}

	p := start(t, "run", "--config", file, "--listen", "127.0.0.1:0")
	require.NoError(t, shop.SetWebhook(p.url+"/webhooks/shop/orders", secret))
	shop.Pause()
	require.Eventually(t, func() bool { _ = shop.Drain(t.Context()); return shop.Waiting() == 0 }, 60*time.Second, 20*time.Millisecond)
	for _, stream := range []string{"customers", "orders"} {
		require.Eventually(t, func() bool {
			code, _, _ := weir(t, nil, nil, "sync", "shop", stream, "--server", p.url)
			return code == 0
		}, 30*time.Second, 50*time.Millisecond)
		seen, state := map[string]bool{}, map[string]string{}
		code, stdout, stderr := weir(t, nil, nil, "events", "shop", stream, "--json", "--server", p.url)
		require.Zero(t, code, stderr)
		for line := range strings.SplitSeq(strings.TrimSpace(stdout), "\n") {
			var e struct {
				ID, Key, Subject string
				Operation        string          `json:"weiroperation"`
				Late             bool            `json:"weirlate"`
				Data             json.RawMessage `json:"data"`
			}
			require.NoError(t, json.Unmarshal([]byte(line), &e))
			require.False(t, seen[e.ID], "event %s is in the log twice", e.ID)
			seen[e.ID] = true
			switch {
			case e.Late:
			case e.Operation == "delete":
				delete(state, e.Subject)
			default:
				state[e.Subject] = string(e.Data)
			}
		}
		require.Equal(t, shop.State()[stream], state, "what a receiver of %s has is what the shop has", stream)
	}
	require.NoError(t, p.interrupt(t), p.stderr)
}
