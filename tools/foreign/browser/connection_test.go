package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

func TestAConnectionIsDeployedAndTakenBack(t *testing.T) {
	t.Parallel()
	s, x := serve(t, dashboardtest.Busy(noon).WithRevisions(noon), dashboardtest.Loopback()), newTab(t)
	x.open(s.url)
	x.run(chromedp.Click(`a[href="/connections/default/demo"]`))
	x.until(`document.querySelector("h1")?.innerText.startsWith("demo")`, patience)
	require.Contains(t, strings.Join(strings.Fields(x.text(`[data-key=r3]`)), " "), `bob not yet labels.team "pay" → "core" labels.tier "1"`)
	require.Contains(t, x.text(`[data-key=r2]`), "<b>shop</b>", "as text")
	x.run(chromedp.Click(`form[action$="/deploy"] button`))
	x.until(`document.querySelector("[data-key=r3]")?.innerText.includes("deployed")`, patience)
	x.run(chromedp.Click(`[data-key=r1] button`))
	x.until(`document.querySelector("[data-key=r4]")?.innerText.includes("back to revision 1")`, patience)
	x.run(chromedp.Click(`form[action$="/pause"] button`))
	x.until(`document.querySelector("h1")?.innerText.includes("paused")`, patience)
	x.quiet()
}
