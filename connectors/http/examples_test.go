package http_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// githubLike answers as GitHub's API does: sorted by update, since inclusive,
// Link headers, 401 without the token, and a rate limit that is a 403.
type githubLike struct {
	updated []time.Time
	limited bool
	asked   []string
}

func (g *githubLike) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.asked = append(g.asked, r.URL.RawQuery)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch {
	case r.URL.Path != "/repos/octocat/hello-world/issues":
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
		return
	case r.Header.Get("Authorization") != "Bearer secret-of-GITHUB_TOKEN":
		http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		return
	case r.Header.Get("Accept") != "application/vnd.github+json" || r.Header.Get("X-Github-Api-Version") != "2022-11-28":
		http.Error(w, `{"message":"Bad version"}`, http.StatusBadRequest)
		return
	case g.limited:
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(20*time.Minute).Unix(), 10))
		http.Error(w, `{"message":"API rate limit exceeded"}`, http.StatusForbidden)
		return
	}
	const perPage = 2 // whatever is asked for, so that few issues have pages
	q := r.URL.Query()
	since, _ := time.Parse(time.RFC3339, q.Get("since"))
	number, _ := strconv.Atoi(q.Get("page"))
	var issues []string
	for id, at := range g.updated {
		if !at.Before(since) {
			pull := ""
			if id == 1 {
				pull = `,"pull_request":{}`
			}
			issues = append(issues, fmt.Sprintf(`{"id": %d, "updated_at": %q%s}`, id, at.Format(time.RFC3339), pull))
		}
	}
	number = max(number, 1)
	if number*perPage < len(issues) {
		q.Set("page", strconv.Itoa(number+1))
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?%s>; rel="next", <http://%s/>; rel="last"`, r.Host, r.URL.Path, q.Encode(), r.Host))
	}
	from := min((number-1)*perPage, len(issues))
	_, _ = fmt.Fprintf(w, "[%s]", strings.Join(issues[from:min(from+perPage, len(issues))], ","))
}

func TestTheGitHubExampleWorks(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	provider := &githubLike{updated: []time.Time{at, at.Add(time.Hour), at.Add(2 * time.Hour), at.Add(3 * time.Hour), at.Add(3 * time.Hour)}}
	b := open(t, example(t, "github", "https://api.github.com", serve(t, provider.ServeHTTP))[0].Settings)
	sync := connectortest.Sync{Stream: "issues"}
	log := connectortest.RequireResumable(t, b, sync)
	require.Equal(t, map[string]string{
		"0": `{"id": 0, "updated_at": "2026-01-01T00:00:00Z"}`, "2": `{"id": 2, "updated_at": "2026-01-01T02:00:00Z"}`,
		"3": `{"id": 3, "updated_at": "2026-01-01T03:00:00Z"}`, "4": `{"id": 4, "updated_at": "2026-01-01T03:00:00Z"}`,
	}, log.State("issues"), "pull requests are left out, bytes are kept")

	pages := connectortest.Run(t, b, sync)
	require.Len(t, pages, 3)
	provider.updated[0] = at.Add(4 * time.Hour)
	provider.asked = nil
	sync.Cursor = pages[2].Cursor
	again := connectortest.Run(t, b, sync)
	query, err := url.ParseQuery(provider.asked[0])
	require.NoError(t, err)
	require.Equal(t, "2026-01-01T02:59:00Z", query.Get("since"))
	log.Commit(slices.Concat(again[0].Emissions, again[1].Emissions), time.Now())
	require.JSONEq(t, `{"id":0,"updated_at":"2026-01-01T04:00:00Z"}`, log.State("issues")["0"])

	provider.limited = true
	_, _, err = b.Page(t.Context(), "issues", framework.PageCall{})
	require.ErrorContains(t, err, "rate limit is used up")
	require.Equal(t, framework.ClassTransient, framework.ClassOf(err))
	require.InDelta(t, 20*time.Minute, framework.RetryDelay(err), float64(10*time.Second))
}

func TestRefusedCredentialsAreOfTheirClassAndNotRetried(t *testing.T) {
	t.Parallel()
	provider := &githubLike{}
	settings := example(t, "github", "https://api.github.com", serve(t, provider.ServeHTTP))[0].Settings
	settings["authentication"] = map[string]any{"type": "bearer", "token": "canary-wrong-token"}
	_, _, err := open(t, settings).Page(t.Context(), "issues", framework.PageCall{})
	require.ErrorContains(t, err, "provider answered 401")
	require.Equal(t, framework.ClassAuth, framework.ClassOf(err))
	require.NotContains(t, err.Error(), "canary")
	require.Len(t, provider.asked, 1)
}

func TestTheStripeExampleWorks(t *testing.T) {
	t.Parallel()
	var asked []url.Values
	failures := 1
	provider := serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, q)
		if r.Header.Get("Authorization") != "Bearer secret-of-STRIPE_API_KEY" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if failures > 0 {
			failures--
			http.Error(w, `{"error":{"type":"api_error"}}`, http.StatusServiceUnavailable)
			return
		}
		created, _ := strconv.Atoi(q.Get("created[gte]"))
		ids := []string{"c", "b", "a"} // newest first
		if after := q.Get("starting_after"); after != "" {
			ids = ids[slices.Index(ids, after[len(after)-1:])+1:]
		}
		kind := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/"), "s")
		var data []string
		for _, id := range ids[:min(2, len(ids))] {
			data = append(data, fmt.Sprintf(`{"id":"%s_%s","object":%q,"created":%d}`, kind, id, kind, created+1))
		}
		_, _ = fmt.Fprintf(w, `{"object":"list","data":[%s],"has_more":%t}`, strings.Join(data, ","), len(ids) > 2)
	})
	connection := example(t, "stripe", "https://api.stripe.com", provider)[0]
	declared, err := connector.Plugin.Declare(connection.Settings)
	require.NoError(t, err)
	manifest := declared.Manifest()
	require.Equal(t, "*/15 * * * *", manifest.Streams[0].Schedule)
	require.Equal(t, "@hourly", manifest.Streams[1].Schedule)
	require.True(t, manifest.Streams[0].Window && manifest.Streams[0].Backfill)

	b := open(t, connection.Settings)
	from := time.Unix(1_767_225_600, 0).UTC()
	for _, stream := range []string{"customers", "invoices"} {
		log := connectortest.RequireResumable(t, b, connectortest.Sync{Stream: stream, From: from, To: from.Add(time.Hour)})
		require.Len(t, log.State(stream), 3)
	}
	require.Equal(t, "1767225600", asked[1].Get("created[gte]"), "the first try failed and was made again")
	require.Equal(t, "1767229200", asked[1].Get("created[lt]"))
	require.Equal(t, "100", asked[1].Get("limit"))
	require.Equal(t, "customer_b", asked[2].Get("starting_after"))
}

// deliver hands a delivery to a connection as intake does: signed by the sender,
// verified by the endpoint's own verifier.
func deliver(t *testing.T, c config.Connection, header http.Header, body, secret string) ([]ingest.Emission, error) {
	t.Helper()
	declared, err := connector.Plugin.Declare(c.Settings)
	require.NoError(t, err)
	endpoint := declared.Endpoints[0]
	verifier, err := webhook.New(endpoint.Spec(), []string{secret})
	require.NoError(t, err)
	signed, err := webhook.Sign(endpoint.Spec(), secret, time.Now(), "delivery-1", []byte(body))
	require.NoError(t, err)
	maps.Copy(signed, header)
	require.NoError(t, verifier.Verify(time.Now(), webhook.Request{Header: signed, Body: []byte(body)}))
	return open(t, c.Settings).Deliver(t.Context(), endpoint.Path(), &framework.Delivery{
		Key: verifier.DeliveryKey(signed, []byte(body)), Header: verifier.PublicHeader(signed), Body: []byte(body), ReceivedAt: time.Now(),
	})
}

func TestThePushExamplesWork(t *testing.T) {
	t.Parallel()
	connections := example(t, "push", "", "")
	header := func(pairs ...string) http.Header {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	github := func(kind, body string) ingest.Emission {
		emissions, err := deliver(t, connections[0], header("X-GitHub-Event", kind, "X-GitHub-Delivery", "d-1"), body, "secret-of-GITHUB_WEBHOOK_SECRET")
		require.NoError(t, err)
		require.Len(t, emissions, 1)
		return emissions[0]
	}
	e := github("issues", `{"action":"opened","issue": {"id":7,"big":9007199254740993, "updated_at":"2026-01-01T00:00:00Z"}}`)
	require.Equal(t, "issues", e.Stream)
	const issue = `{"id":7,"big":9007199254740993, "updated_at":"2026-01-01T00:00:00Z"}`
	require.Equal(t, issue, string(e.Payload), "the bytes as they came") //nolint:testifylint // the same JSON is not enough
	require.Equal(t, ingest.LatestKey("7"), e.Key)
	e = github("issue_comment", `{"action":"deleted","comment":{"id":8,"updated_at":"2026-01-01T00:00:00Z"}}`)
	require.Equal(t, "comments", e.Stream)
	require.Equal(t, ingest.Deletion, e.Operation)
	e = github("star", `{"action":"created"}`)
	require.Equal(t, "events", e.Stream)
	require.Equal(t, "d-1", webhook.DeliveryID(e.Key.Subject()))

	emissions, err := deliver(t, connections[1], header("X-Acme-Id", "a-1"), `[{"id":"e1","type":"customer.updated","data":{"id":"c1"}},{"id":"e2","type":"customer.deleted","data":{"id":"c1"}},{"id":"e3","type":"other","data":{"id":"x"}}]`, "secret-of-ACME_SECRET")
	require.NoError(t, err)
	require.Len(t, emissions, 3)
	require.Equal(t, ingest.VersionKey("c1", "e1"), emissions[0].Key)
	require.Equal(t, "customer.updated", emissions[0].Type)
	require.Equal(t, []string{"customers", "customers", "events"}, []string{emissions[0].Stream, emissions[1].Stream, emissions[2].Stream})
	require.Equal(t, ingest.Deletion, emissions[1].Operation)
	_, err = deliver(t, connections[1], header(), `not JSON`, "secret-of-ACME_SECRET")
	require.Equal(t, framework.ClassPermanent, framework.ClassOf(err))
}

func TestEveryPresetIsConfiguredByItsName(t *testing.T) {
	t.Parallel()
	for _, auth := range catalog.Presets() {
		declared, err := connector.Plugin.Declare(map[string]any{"mode": "push", "path": "in", "auth": string(auth), "webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
		require.NoError(t, err, auth)
		require.Equal(t, auth, declared.Endpoints[0].Spec().Auth)
		require.Equal(t, "events", declared.Streams[0].Key())
	}
	_, err := connector.Plugin.Declare(map[string]any{"mode": "push", "path": "in", "auth": "strype"})
	var findings framework.CatalogErrors
	require.ErrorAs(t, err, &findings)
	require.Equal(t, "SC304", findings[0].Rule)
}

func TestAFormBecomesAnObject(t *testing.T) {
	t.Parallel()
	c := config.Connection{Settings: map[string]any{"mode": "push", "path": "in", "auth": "bearer", "webhook_secret": "a-bearer-token-of-some-length", "key": ".id"}}
	emissions, err := deliver(t, c, http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, "id=5&tag=a&tag=b", "a-bearer-token-of-some-length")
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"5","tag":["a","b"]}`, string(emissions[0].Payload))
	// curl -d says that JSON is a form, when nobody says another type.
	emissions, err = deliver(t, c, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, `{"id": 6}`, "a-bearer-token-of-some-length")
	require.NoError(t, err)
	require.Equal(t, `{"id": 6}`, string(emissions[0].Payload))
}
