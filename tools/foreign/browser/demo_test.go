package browser

import (
	"bufio"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// startDemo builds the product and runs its demo as somebody does who sees it for
// the first time, and returns its address.
func startDemo(t *testing.T) (url string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "weir")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/weir")
	build.Dir = filepath.Join("..", "..", "..")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	demo := exec.CommandContext(t.Context(), binary, "demo", "--listen", "127.0.0.1:0")
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	demo.WaitDelay = patience
	stdout, err := demo.StdoutPipe()
	require.NoError(t, err)
	demo.Stderr = demo.Stdout
	require.NoError(t, demo.Start())
	ended := make(chan string, 1)
	found := make(chan string, 1)
	go func() {
		var said strings.Builder
		address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if url := address.FindString(lines.Text()); url != "" {
				select {
				case found <- url:
				default:
				}
			}
		}
		ended <- said.String()
	}()
	t.Cleanup(func() {
		// The test's context has ended, and with it the demo.
		said := <-ended
		_ = demo.Wait() // ended by a signal
		if t.Failed() {
			t.Log("the demo said:\n" + said)
		}
	})
	select {
	case url = <-found:
	case <-time.After(time.Minute):
		require.Fail(t, "the demo printed no address within a minute")
	}
	return url
}

// The whole product as somebody sees it first: the binary is built, the demo
// runs, the pages fill.
func TestTheDemoFillsTheDashboard(t *testing.T) {
	t.Parallel()
	url := startDemo(t)
	x := newTab(t)
	x.open(url)
	const state = `[...document.querySelectorAll(".streams tbody tr.row")].map((r) => r.querySelector("a").textContent + " " + r.querySelector(".state").textContent).join(", ")`
	x.until(`["customers", "orders", "order_events"].every((s) => (`+state+`).includes(s + " healthy"))`, time.Minute)
	total := `Number(document.querySelector(".streams tbody tr:last-child .c-total").textContent.replace(/\D/g, ""))`
	before := eval[float64](x, total)
	require.Positive(t, before)
	// It grows by itself: nobody reloads the page.
	x.do(`window.sameDocument = true`)
	x.until(total+" > "+quoteNumber(before), time.Minute)
	require.True(t, eval[bool](x, `window.sameDocument`))

	x.run(chromedp.Click(`a[href="/streams/default/demo/customers"]`))
	x.until(`document.querySelectorAll(".events li").length > 0 && document.querySelectorAll(".runs tbody tr").length > 0`, patience)
	require.Contains(t, x.text(".facts"), "Next run")
	require.Contains(t, x.text("main"), "Customers are ")
	require.Contains(t, x.text(`[data-key="checkpoint"]`), "{")
	x.open(url + "/streams/default/demo/order_events")
	require.Regexp(t, `^`+regexp.QuoteMeta(url)+`/webhooks/con_[0-9a-z]+/[a-z0-9_-]+$`, eval[string](x, `document.querySelector(".address").value`))
	x.quiet()
}

func TestARunMovesOnItsPageAndIsCanceledThere(t *testing.T) {
	t.Parallel()
	url := startDemo(t)
	x := newTab(t)
	x.open(url)
	x.until(`document.querySelector('a[href^="/actions/"]')`, time.Minute)
	x.run(chromedp.Click(`a[href^="/actions/"]`))
	x.until(`document.querySelector("h1")?.innerText.startsWith("Actions of ")`, patience)
	require.Contains(t, x.text("main"), "Nothing was asked for yet.")
	x.do(`window.sameDocument = true`)

	// Somebody calls the trigger of the demo and does not wait.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/default/count-orders", strings.NewReader(`{"pause_ms": 1500}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prefer", "respond-async")
	client := &http.Client{Timeout: patience}
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)

	// Its progress moves, and nobody reloads the page.
	const percent = `Number(document.querySelector(".runs tbody tr progress")?.value ?? 0)`
	x.until(percent+" > 0", patience)
	x.until(percent+" > "+quoteNumber(eval[float64](x, percent)), patience)
	require.True(t, eval[bool](x, `window.sameDocument`))
	require.Contains(t, x.text(".runs tbody tr"), "running")
	require.Contains(t, x.text(".runs tbody tr"), " orders")
	x.shoot("actions")
	x.run(chromedp.Click(`form[action$="/cancel"] button`))
	x.until(`document.querySelector(".runs tbody tr .state")?.innerText === "canceled"`, patience)
	require.False(t, eval[bool](x, `document.querySelector('form[action$="/cancel"]') !== null`))
	x.quiet()
}
