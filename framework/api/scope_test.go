package api_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

// ofOthers is what a token of project billing must never see: names and ids of
// connections and runs of other projects.
var ofOthers = []string{
	dashboardtest.Demo, dashboardtest.Stripe, dashboardtest.GitHub, dashboardtest.Old, "stripe-eu", "github", "rates", "orders", "run_06dvr7h2k8e3pawx9tq4invo00",
}

func seen(text string) (found []string) {
	for _, name := range ofOthers {
		if strings.Contains(text, name) {
			found = append(found, name)
		}
	}
	return found
}

// TestATokenOfOneProjectSeesNothingElse reads every route as the admin of one
// project: with the names of its own, and with the ids of others below it.
func TestATokenOfOneProjectSeesNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	token := bearer(b.makeToken(t, `{"name":"billing","role":"admin","project":"billing"}`))
	read, hidden := 0, 0
	for _, row := range api.Routes() {
		if row.Method != http.MethodGet || row.Face == api.FaceIntake || row.Pattern == "/api/v1/changes" || row.Role == api.RolePublic {
			continue
		}
		fill := func(project, connection, run string) string {
			return strings.NewReplacer("{project}", project, "{connection}", connection, "{run_id}", run, "{stream}", "customers").Replace(concreteRest(row.Pattern))
		}
		for _, accept := range []string{"application/json", "text/html"} {
			own := b.do(t, row.Method, fill("billing", "stripe-us", "run_none"), token, header("Accept", accept))
			require.Empty(t, seen(own.body), "%s as %s", row.Pattern, accept)
			if own.status == http.StatusOK {
				read++
			}
			// The id of another project's connection or run is none of this one.
			if !strings.Contains(row.Pattern, "{connection}") && !strings.Contains(row.Pattern, "{run_id}") {
				continue
			}
			for _, project := range []string{"billing", "default"} {
				other := b.do(t, row.Method, fill(project, dashboardtest.Demo, "run_06dvr7h2k8e3pawx9tq4invo00"), token, header("Accept", accept))
				require.Equal(t, http.StatusNotFound, other.status, "%s as %s", row.Pattern, accept)
				for _, name := range []string{"stripe-eu", "github", "rates", "orders"} {
					require.NotContains(t, other.body, name, row.Pattern)
				}
				hidden++
			}
		}
	}
	require.Greater(t, read, 10)
	require.Greater(t, hidden, 40)
	require.NotEmpty(t, seen(b.do(t, http.MethodGet, "/", bearer(adminToken), header("Accept", "text/html")).body), "the names are those that are there")
}

// concreteRest fills what [concrete] does but what stands for a tenant.
func concreteRest(pattern string) string {
	keep := strings.NewReplacer("{project}", "\x01", "{connection}", "\x02", "{stream}", "\x03", "{run_id}", "\x04")
	back := strings.NewReplacer("\x01", "{project}", "\x02", "{connection}", "\x03", "{stream}", "\x04", "{run_id}")
	return back.Replace(concrete(keep.Replace(pattern)))
}

// TestTheFeedTellsATokenOfItsProjectOnly: that another project does something is
// not told either.
func TestTheFeedTellsATokenOfItsProjectOnly(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	token := b.makeToken(t, `{"name":"billing","role":"viewer","project":"billing"}`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.server.URL+"/api/v1/changes", http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := b.server.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				return event
			}
		}
		return ""
	}
	require.Equal(t, "ready", next())
	other, stop := b.front.Feed.Listen("billing")
	defer stop()
	b.front.Feed.NotifyProject("default")
	select {
	case <-other:
		t.Fatal("told of another project")
	default:
	}
	b.front.Feed.NotifyProject("billing")
	require.Equal(t, "change", next())
	<-other
	b.front.Feed.Notify()
	<-other
}

// TestPayloadsNeedAnOperator: what senders and providers sent may be personal
// data. Every route that shows some of it is named here, and so is what a viewer
// may read: a new route belongs to one of the two.
func TestPayloadsNeedAnOperator(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	viewer := bearer(b.makeToken(t, `{"name":"eyes","role":"viewer"}`))
	b.office.OnPage = nil
	for _, path := range []string{
		"/api/v1/connections/demo/streams/customers/events", "/api/v1/connections/demo/deliveries", "/streams/default/demo/customers",
		"/api/v1/projects/default/connections/demo/streams/customers/events", "/api/v1/projects/default/connections/demo/deliveries",
	} {
		require.Equal(t, http.StatusForbidden, b.do(t, http.MethodGet, path, viewer).status, path)
	}
	for _, row := range api.Routes() {
		if row.Method != http.MethodGet || row.Role != api.RoleViewer || row.Pattern == "/api/v1/changes" || row.Pattern == "/metrics" {
			continue
		}
		for _, accept := range []string{"application/json", "text/html"} {
			a := b.do(t, row.Method, concrete(row.Pattern), viewer, header("Accept", accept))
			require.NotContains(t, a.body, "someone@example.com", row.Pattern)
		}
	}
	all := b.do(t, http.MethodGet, "/api/v1/connections/demo/streams/customers/events?limit=1000", bearer(adminToken))
	require.Equal(t, http.StatusOK, all.status)
	require.Contains(t, all.body, "someone@example.com", "there is such a payload")
}
