package catalog_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

type record struct{ ID string }

type position struct{ Page string }

var (
	// Customers are the people who pay.
	Customers = catalog.Poll[record, position]("customers", catalog.PollSpec{Schedule: "*/15 * * * *"})
	// Events are what belongs to no other stream.
	Events = catalog.Webhook[record]("events")
	// Inbox receives the webhooks.
	Inbox = catalog.Receive("acme", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})
)

var acme = catalog.Connector{
	Key:       "acme",
	Streams:   []catalog.Stream{Customers, Events},
	Endpoints: []catalog.Endpoint{Inbox},
	Hosts:     []string{"api.acme.example"},
}

func ExampleConnector_Manifest() {
	fmt.Println(string(acme.Manifest().JSON()))
	// Output:
	// {"connector":"acme","streams":[{"key":"customers","mode":"poll","schedule":"*/15 * * * *"},{"key":"events","mode":"webhook"}],"endpoints":[{"path":"acme","auth":"standard_webhooks","secret_setting":"webhook_secret"}],"hosts":["api.acme.example"]}
}

func ExamplePoll() {
	customers := catalog.Poll[record, position]("customers", catalog.PollSpec{Schedule: "TZ=Europe/Berlin 0 6 * * *"})
	fmt.Println(customers.Key(), customers.Declaration().Mode)
	// Output: customers poll
}

func ExampleWebhook() {
	fmt.Println(catalog.Webhook[record]("events").Declaration().Mode)
	// Output: webhook
}

func ExampleReceive() {
	open := catalog.Receive("beacon", catalog.EndpointSpec{Auth: catalog.AuthNone, Reason: "the sender cannot sign and the data is public"})
	fmt.Println(open.Path(), open.Spec().Auth)
	// Output: beacon none
}

func rules(findings []catalog.Finding) []string {
	var ids []string
	for _, f := range findings {
		ids = append(ids, f.Rule)
	}
	return ids
}

func TestAGoodCatalogHasNoFindings(t *testing.T) {
	t.Parallel()
	require.Empty(t, catalog.Validate(acme))
}

func TestEveryFindingIsReported(t *testing.T) {
	t.Parallel()
	bad := catalog.Connector{
		Key: "Acme", RateLimit: "often",
		Streams: []catalog.Stream{
			catalog.Poll[record, position]("Customers", catalog.PollSpec{Schedule: "61 * * * *"}),
			catalog.Poll[record, position]("all", catalog.PollSpec{}),
			catalog.Poll[record, position]("never", catalog.PollSpec{Schedule: "0 0 30 2 *"}),
			Events, Events, nil,
		},
	}
	require.Equal(t, []string{"SC102", "SC117", "SC102", "SC110", "SC108", "SC107", "SC111", "SC116", "SC103", "SC102", "SC108", "SC301"}, rules(catalog.Validate(bad)))
}

func TestEndpointsFailClosed(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]catalog.EndpointSpec{
		"no auth":            {},
		"unknown auth":       {Auth: "trust_me"},
		"none, no reason":    {Auth: catalog.AuthNone, Reason: " "},
		"api key, no header": {Auth: catalog.AuthAPIKey},
		"hmac, no header":    {Auth: catalog.AuthHMAC},
		"hmac, no timestamp": {Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{Header: "X", Signed: "{timestamp}.{body}"}},
		"hmac, no body":      {Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{Header: "X", Signed: "{timestamp}", Timestamp: "header:T"}},
	} {
		c := catalog.Connector{Key: "c", Endpoints: []catalog.Endpoint{catalog.Receive("in", spec)}}
		require.Equal(t, []string{"SC304"}, rules(catalog.Validate(c)), name)
	}
	twice := catalog.Connector{Key: "c", Endpoints: []catalog.Endpoint{Inbox, Inbox}}
	require.Equal(t, []string{"SC502"}, rules(catalog.Validate(twice)))
}

func TestManifestsSurviveARoundTrip(t *testing.T) {
	t.Parallel()
	c := acme
	c.RateLimit = "100/min"
	c.Streams = append([]catalog.Stream{catalog.Poll[record, position]("windowed", catalog.PollSpec{
		Schedule: "@hourly", CursorVersion: 2, Window: true, Lookback: 90 * time.Second, Backfill: true, RenamedFrom: "old",
	})}, c.Streams...)
	m := c.Manifest()
	again, err := catalog.ParseManifest(m.JSON())
	require.NoError(t, err)
	require.Equal(t, m, again)
	require.Equal(t, m.Digest(), again.Digest())
	require.Equal(t, 90*time.Second, m.Streams[0].Lookback())
	_, err = catalog.ParseManifest([]byte(`{"connector":"c","surprise":1}`))
	require.ErrorContains(t, err, "surprise")
}

func TestTheGeneratedManifestGivesTheDescriptions(t *testing.T) {
	t.Parallel()
	c := acme
	c.Key = "described"
	m := c.Manifest()
	m.Package, m.Description, m.Streams[0].Description = "example.com/acme", "Acme.", "Customers are the people who pay."
	catalog.Describe("described", m.Digest(), string(m.JSON()))
	got, ok := catalog.Described(c)
	require.True(t, ok)
	require.Equal(t, "Customers are the people who pay.", got.Streams[0].Description)
	findings := catalog.Validate(c)
	require.Equal(t, []string{"SC104"}, rules(findings), "events has none")
	require.Equal(t, catalog.SeverityWarning, findings[0].Severity)

	c.Hosts = nil // the code has changed and nobody ran go generate
	_, ok = catalog.Described(c)
	require.False(t, ok)
	require.Equal(t, []string{"SC504"}, rules(catalog.Validate(c)))
}

func TestAGeneratedManifestWithAWrongDigestIsNotTrusted(t *testing.T) {
	t.Parallel()
	c := acme
	c.Key = "forged"
	catalog.Describe("forged", "sha256:00", string(c.Manifest().JSON()))
	_, ok := catalog.Described(c)
	require.False(t, ok)
}

func TestZeroValuesAreFindingsAndNotPanics(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, catalog.Validate(catalog.Connector{
		Streams:   []catalog.Stream{catalog.PollStream[record, position]{}, catalog.WebhookStream[record]{}},
		Endpoints: []catalog.Endpoint{{}},
	}))
}

func FuzzParseManifest(f *testing.F) {
	f.Add(acme.Manifest().JSON())
	f.Add([]byte(`{"connector":"a","streams":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := catalog.ParseManifest(b)
		if err != nil {
			return
		}
		again, err := catalog.ParseManifest(m.JSON())
		require.NoError(t, err)
		first, err := json.Marshal(m)
		require.NoError(t, err)
		second, err := json.Marshal(again)
		require.NoError(t, err)
		require.JSONEq(t, string(first), string(second))
		_ = catalog.ValidateManifest(m)
	})
}
