package runtime

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/trigger"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

//go:generate go test -run TestTheLimitsPageIsFresh -update .

// Limit is one bound on what comes from outside.
type Limit struct {
	// What is bounded, by how much, and what happens beyond.
	What, Value, Beyond string
}

// LimitsTable returns every bound that an author, operator or sender can meet.
func LimitsTable() []Limit {
	page, delivery := ingest.PageLimits(), ingest.DeliveryLimits()
	return []Limit{
		{"payload of one event of a page", size(page.EventBytes), "the page fails"},
		{"payload of one event of a delivery", size(delivery.EventBytes), "a dead letter, with the whole body"},
		{"events of a page", count(page.Events), "the page fails; return fewer and set HasMore"},
		{"payloads of a page together", size(page.Bytes), "the page fails; return fewer and set HasMore"},
		{"events of a webhook delivery", count(delivery.Events), "the delivery fails and is kept"},
		{"payloads of a delivery together", size(delivery.Bytes), "the delivery fails and is kept"},
		{"idempotency key, entity and version together", size(ingest.MaxKeyBytes), "the page or delivery fails"},
		{"cursor, encoded", size(framework.MaxCursorBytes), "the page fails"},
		{"body of a webhook", size(int(maxBody(catalog.AuthStandardWebhooks))), "413; EndpointSpec.MaxBody raises it"},
		{"body of a GitHub webhook", size(int(maxBody(catalog.AuthGitHub))), "413"},
		{"bodies of webhooks in memory, all together", "128 MiB", "503 with Retry-After; one connection may hold as much as it leaves free"},
		{"handlers at work for one endpoint", "64, or max_handlers", "stored and handled later"},
		{"webhooks of one endpoint", "none, or rate_limit", "429 with Retry-After"},
		{"webhooks of one connection that wait or were given up", "10,000 and 1 GiB", "503 with Retry-After for those whose handler fails"},
		{"handled webhooks that one connection keeps (keep_days)", "100,000 and 1 GiB", "the oldest are removed"},
		{"last webhooks of an endpoint that are listed", "100, and 20 refused", "the oldest are left out"},
		{"body of a call of a trigger", size(trigger.MaxBody), "413"},
		{"output of an action", size(store.MaxOutputBytes), "the run fails"},
		{"runs of an action of one connection, in one process", fmt.Sprintf("%d, or ActionSpec.MaxRunning", catalog.DefaultMaxRunning), "429 with Retry-After"},
		{"one run of an action", catalog.DefaultActionTimeout.String() + ", or ActionSpec.Timeout", "its context ends, and it fails"},
		{"reports of the progress of a run", "one in 50ms, fewer of a long run", "they are made one"},
		{"runs of actions that a connection keeps", "1,000, for 30 days", "the oldest are removed"},
		{"open connections of a listener", count(maxConnections), "they wait until one is closed"},
		{"request header", size(maxHeaderBytes), "431"},
		{"request body that nobody reads", "5s", "the connection is closed"},
		{"response of a provider, read with framework.Fetch", size(framework.MaxResponseBytes), "a permanent error"},
		{"response of a provider, read otherwise", size(httpguard.MaxResponseBytes), "reading fails"},
		{"request to a provider", httpguard.RequestTimeout.String(), "it fails"},
		{"Retry-After of a provider", framework.MaxRetryAfter.String(), "clamped"},
		{"one page", "1m0s", "the route is abandoned"},
		{"webhook handler", "10s, or the provider's own limit", "the delivery is stored and handled later"},
		{"runs at a time", "16, of one connection 4", "the others wait for their turn"},
		{"weir.yaml", size(config.MaxFileBytes), "refused"},
		{"settings and entries of weir.yaml, aliases followed", "200,000", "refused"},
		{"rows of a list in the API", "1,000; 100 unless asked", "refused"},
		{"connection and stream labels in metrics", count(maxSeries), "counted as other"},
		{"stop", (stopTimeout + 5*time.Second).String(), "pages in flight are cut off; they are read again"},
	}
}

// LimitsPage returns docs/limits.md.
func LimitsPage() string {
	var b strings.Builder
	b.WriteString("# Limits\n\nWritten by `go generate ./framework/runtime`.\n\n| what | limit | beyond it |\n|---|---|---|\n")
	for _, l := range LimitsTable() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.What, l.Value, l.Beyond)
	}
	return b.String()
}

// maxBody is the largest body of an endpoint of the given mode.
func maxBody(auth catalog.Auth) int64 {
	v, err := webhook.New(catalog.EndpointSpec{Auth: auth}, []string{"whsec_" + strings.Repeat("QUFB", 11)})
	if err != nil {
		return 0
	}
	return v.MaxBody()
}

func size(bytes int) string {
	switch {
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d bytes", bytes)
}

func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
