package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
	"github.com/weirhq/weir/tools/foreign/need"
)

// chromium is the one browser of all tests; each gets a context of its own in it.
var chromium struct {
	sync.Once
	ctx  context.Context
	stop []context.CancelFunc
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range slices.Backward(chromium.stop) {
		stop()
	}
	os.Exit(code)
}

func launch(t *testing.T) context.Context {
	t.Helper()
	path := need.Tool(t, "chromium", "chromium", "chromium-browser", "google-chrome")
	chromium.Do(func() {
		options := []chromedp.ExecAllocatorOption{
			chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
			chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(time.Minute),
		}
		for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage", "hide-scrollbars"} {
			options = append(options, chromedp.Flag(flag, true))
		}
		// Another site for the tests, which is only this machine.
		options = append(options, chromedp.Flag("host-resolver-rules", "MAP evil.test 127.0.0.1"))
		allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...) //nolint:usetesting // the browser outlives the test that starts it
		ctx, stop := chromedp.NewContext(allocator)
		chromium.ctx, chromium.stop = ctx, []context.CancelFunc{stopAllocator, stop}
		chromium.err = chromedp.Do(ctx)
	})
	require.NoError(t, chromium.err)
	return chromium.ctx
}

// tab is a page of the browser, and everything that it complained about.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	requests   []string
}

// patience bounds every wait for the browser: another process, on a busy machine.
const patience = 30 * time.Second

func newTab(t *testing.T) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(launch(t), chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	x := &tab{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, x.hear))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	return x
}

func (x *tab) hear(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			x.complain("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		x.complain("exception: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		x.complain("console %s", e.Type)
	case *page.EventJavascriptDialogOpening:
		x.complain("dialog: %s", e.Message)
		go func() {
			// A dialog that nobody answers would stop the tab.
			_, _ = chromedp.Call(x.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}()
	case *network.EventRequestWillBeSent:
		x.mu.Lock()
		defer x.mu.Unlock()
		x.requests = append(x.requests, e.Request.URL)
	}
}

func (x *tab) complain(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.complaints = append(x.complaints, fmt.Sprintf(format, args...))
}

func (x *tab) heard() (complaints, requests []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]string(nil), x.complaints...), append([]string(nil), x.requests...)
}

// quiet requires that nothing complained: no error, no warning, no violation of
// the content security policy.
func (x *tab) quiet() {
	x.t.Helper()
	complaints, _ := x.heard()
	require.Empty(x.t, complaints)
}

func (x *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	ctx, stop := context.WithTimeout(x.ctx, patience)
	defer stop()
	require.NoError(x.t, chromedp.Do(ctx, actions...))
}

// do evaluates statements for what they do.
func (x *tab) do(statements string) {
	x.t.Helper()
	x.run(chromedp.Evaluate[chromedp.Void]("{" + statements + "}"))
}

// call sends a command of the protocol.
func call[P, R any](x *tab, command cdp.Command[P, R], params P) {
	x.t.Helper()
	_, err := chromedp.Call(x.ctx, command, params)
	require.NoError(x.t, err)
}

// open goes to a page and waits until it is loaded.
func (x *tab) open(url string) {
	x.t.Helper()
	x.run(chromedp.Navigate(url), chromedp.WaitReady("main, body"))
}

// eval evaluates an expression in the page. It works in a page whose own scripts
// are switched off, too.
func eval[T any](x *tab, expression string) T {
	x.t.Helper()
	ctx, stop := context.WithTimeout(x.ctx, patience)
	defer stop()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	require.NoError(x.t, err, expression)
	return out
}

// text is what the page shows of an element: hidden text is not in it.
func (x *tab) text(selector string) string {
	x.t.Helper()
	return eval[string](x, `document.querySelector(`+quote(selector)+`)?.innerText ?? ""`)
}

// until waits for an expression to be true.
func (x *tab) until(expression string, within time.Duration) {
	x.t.Helper()
	require.Eventually(x.t, func() bool {
		// A page that is just being left has nothing to say.
		out, err := chromedp.Run(x.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && out
	}, within, 20*time.Millisecond, expression)
}

// shoot writes what the page looks like into the folder that WEIR_TEST_SHOTS names,
// for somebody to look at; without it it does nothing.
func (x *tab) shoot(name string) {
	x.t.Helper()
	folder := os.Getenv("WEIR_TEST_SHOTS")
	if folder == "" {
		return
	}
	ctx, stop := context.WithTimeout(x.ctx, patience)
	defer stop()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(x.t, err)
	require.NoError(x.t, os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600))
}

func (x *tab) media(scheme string) {
	x.t.Helper()
	call(x, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

var noon = time.Date(2026, 3, 2, 12, 20, 0, 0, time.UTC)

// served is an office behind the real gate, API and dashboard.
type served struct {
	office *dashboardtest.Office
	front  *dashboardtest.Front
	url    string
}

func serve(t *testing.T, office *dashboardtest.Office, policy api.ListenPolicy) *served {
	t.Helper()
	front, err := office.Open(policy, nil, nil)
	require.NoError(t, err)
	server := httptest.NewServer(front.Handler)
	t.Cleanup(func() {
		front.API.CloseFeeds()
		server.CloseClientConnections()
		server.Close()
	})
	return &served{office, front, server.URL}
}

func quoteNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
