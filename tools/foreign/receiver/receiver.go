// Package receiver is one connection of a connector behind the real intake, with a real store on
// disk: what a provider's software sends its webhooks to in the tests of this module.
package receiver

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/open"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// Receiver is a connection that receives webhooks.
type Receiver struct {
	// URL is where the endpoint is.
	URL string

	id      string
	store   store.Store
	streams []catalog.StreamManifest
}

// New opens a connection named "hub" and serves its endpoint on loopback until the test ends.
func New(t testing.TB, plugin framework.Plugin, settings map[string]any, endpoint catalog.Endpoint, secret string) *Receiver {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := open.URL(t.Context(), "", t.TempDir(), log)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	connection, err := s.EnsureConnection(t.Context(), store.Connection{
		Project: "default", Name: "hub", Connector: plugin.Key(), Type: "source", Enabled: true,
	})
	require.NoError(t, err)
	binding, err := plugin.Open(t.Context(), framework.OpenRequest{
		Project: "default", Connection: "hub", ConnectionID: connection.ID, Settings: settings,
	})
	require.NoError(t, err)
	verifier, err := webhook.New(endpoint.Spec(), []string{secret})
	require.NoError(t, err)
	var webhookStreams []string
	for _, stream := range plugin.Manifest().Streams {
		if stream.Mode == catalog.ModeWebhook {
			webhookStreams = append(webhookStreams, stream.Key)
		}
	}
	table := new(intake.Table)
	table.Replace([]intake.Target{{
		Project: "default", Connection: "hub", ConnectionID: connection.ID, Endpoint: endpoint.Path(),
		Verifier: verifier, Binding: binding, WebhookStreams: webhookStreams,
	}})
	handler, err := intake.New(intake.Config{Targets: table, Store: s, Log: log})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &Receiver{server.URL + "/webhooks/hub/" + endpoint.Path(), connection.ID, s, plugin.Manifest().Streams}
}

// Events reads a whole stream.
func (r *Receiver) Events(t testing.TB, stream string) []ingest.Event {
	t.Helper()
	events, err := r.store.Events(t.Context(), r.id, stream, 0, 1000)
	require.NoError(t, err)
	return events
}

// Counts counts the events of every stream.
func (r *Receiver) Counts(t testing.TB) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, stream := range r.streams {
		counts[stream.Key] = len(r.Events(t, stream.Key))
	}
	return counts
}

// RequireNothingKept fails the test when a delivery waits for a retry or is a dead letter.
func (r *Receiver) RequireNothingKept(t testing.TB) {
	t.Helper()
	for _, dead := range []bool{false, true} {
		kept, err := r.store.StoredDeliveries(t.Context(), r.id, dead, time.Now().Add(24*time.Hour), 1000)
		require.NoError(t, err)
		require.Empty(t, kept, "dead: %t", dead)
	}
}
