package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

func TestASinkIsStoppedRestartedAndItsDeadLettersSettled(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon).WithSinks(noon), dashboardtest.Loopback()), newTab(t)
	x.open(s.url)
	require.Contains(t, strings.Join(strings.Fields(x.text("#k-"+dashboardtest.Broken)), " "), "warehouse delivers 1 stream failed")
	x.run(chromedp.Click("#k-" + dashboardtest.Outbound + " a"))
	x.until(`document.querySelector("h1")?.innerText.startsWith("outbound")`, patience)
	x.run(chromedp.Click(`form[action$="/stop"] button`))
	x.until(`document.querySelector("h1")?.innerText.includes("stopped")`, patience)
	x.run(chromedp.Click(`form[action$="/restart"] button`))
	x.until(`document.querySelector("h1")?.innerText.includes("delivering")`, patience)

	x.run(chromedp.Click(`a[href$="dlt_06dvr0000000000000000000"]`))
	x.until(`document.querySelector("h1")?.innerText.startsWith("Dead letter")`, patience)
	require.Contains(t, x.text("main"), "total must be a text")
	require.Contains(t, x.text("main"), "<script>alert(1)</script>", "as text")
	x.run(chromedp.SendKeys(`input[name="reason"]`, "a test"), chromedp.Click(`form[action$="/discard"] button`))
	x.until(`document.querySelector("h1")?.innerText.startsWith("outbound")`, patience)
	require.NotContains(t, x.text(".letters"), "dlt_06dvr0000000000000000000")
	x.run(chromedp.Click(`form[action$="dlt_06dvr0000000000000000001/redeliver"] button`))
	x.until(`document.querySelector("[data-key=letters]")?.innerText.includes("Nothing was given up")`, patience)
	x.quiet()
}
