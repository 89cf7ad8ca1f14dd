package intake

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

// lastByte is a body whose end comes when something has happened.
type lastByte struct {
	io.Reader

	before func()
}

func (b *lastByte) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n == 0 && b.before != nil {
		b.before()
		b.before = nil
	}
	return n, err
}

// What has become of an endpoint while the body came counts, whatever it was when
// the request began.
func TestAnEndpointThatChangesWhileABodyComesIsWhatItHasBecome(t *testing.T) {
	t.Parallel()
	const other = "another secret of such length"
	opened := func(spec catalog.EndpointSpec, secret string) *webhook.Verifier {
		v, err := webhook.New(spec, []string{secret})
		require.NoError(t, err)
		return v
	}
	github := endpoints["github"]
	small := github
	small.MaxBody = 5
	for name, c := range map[string]struct {
		change func(Target) []Target
		secret string
		want   int
	}{
		"nothing":                    {func(t Target) []Target { return []Target{t} }, secret, http.StatusOK},
		"the secret, and it has it":  {func(t Target) []Target { t.Verifier = opened(github, other); return []Target{t} }, other, http.StatusOK},
		"the secret, and it has not": {func(t Target) []Target { t.Verifier = opened(github, other); return []Target{t} }, secret, http.StatusUnauthorized},
		"the mode": {func(t Target) []Target {
			t.Verifier = opened(catalog.EndpointSpec{Auth: catalog.AuthBearer}, secret)
			return []Target{t}
		}, secret, http.StatusUnauthorized},
		"the limit":              {func(t Target) []Target { t.Verifier = opened(small, secret); return []Target{t} }, secret, http.StatusRequestEntityTooLarge},
		"its secret is gone":     {func(t Target) []Target { t.Verifier = nil; return []Target{t} }, secret, http.StatusUnauthorized},
		"it is disabled":         {func(t Target) []Target { t.Binding = nil; return []Target{t} }, secret, http.StatusUnauthorized},
		"it is gone":             {func(Target) []Target { return nil }, secret, http.StatusNotFound},
		"it does not open":       {func(t Target) []Target { t.Shut, t.Endpoint = true, ""; return []Target{t} }, secret, http.StatusServiceUnavailable},
		"it is another one":      {func(t Target) []Target { t.ConnectionID = "con_02other"; return []Target{t} }, secret, http.StatusServiceUnavailable},
		"its path is another's":  {func(t Target) []Target { t.Endpoint = "elsewhere"; return []Target{t} }, secret, http.StatusNotFound},
		"it has moved elsewhere": {func(t Target) []Target { t.Project = "elsewhere"; return []Target{t} }, secret, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, emitOrder)
			before, found := f.table.Lookup("default", "hooks", "github")
			require.True(t, found)
			header, err := webhook.Sign(github, c.secret, start, "d1", order("o1"))
			require.NoError(t, err)
			body := &lastByte{Reader: bytes.NewReader(order("o1")), before: func() { f.table.Replace(c.change(before)) }}
			r := httptest.NewRequest(http.MethodPost, "/webhooks/hooks/github", body)
			r.Header = header
			require.Equal(t, c.want, serve(f, r).Code)
			_, events, rows := f.store.counts()
			require.Equal(t, []int{map[bool]int{true: 1}[c.want == http.StatusOK], 0}, []int{events, rows})
		})
	}
}

// A handler that verifies for itself may ask late: then the secret of then counts.
func TestALateQuestionIsAnsweredByTheSecretOfThatMoment(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Table, Target){
		"another secret": func(table *Table, was Target) {
			v, err := webhook.New(endpoints["custom"], []string{"another secret of such length"})
			require.NoError(t, err)
			was.Verifier = v
			table.Replace([]Target{was})
		},
		"no secret":   func(table *Table, was Target) { was.Verifier = nil; table.Replace([]Target{was}) },
		"disabled":    func(table *Table, was Target) { was.Binding = nil; table.Replace([]Target{was}) },
		"no endpoint": func(table *Table, _ Target) { table.Replace(nil) },
	} {
		var f *fixture
		f = newFixture(t, func(ctx context.Context, d *framework.Delivery, out *ingest.Buffer) error {
			was, _ := f.table.Lookup("default", "hooks", "custom")
			change(f.table, was)
			require.Error(t, d.Verify(ctx), name)
			return emitOrder(ctx, d, out)
		})
		require.Equal(t, http.StatusUnauthorized, serve(f, request(t, "custom", "", order("o1"))).Code, name)
		units, events, rows := f.store.counts()
		require.Equal(t, []int{0, 0, 0}, []int{units, events, rows}, name)
	}
}

// A connection that does not open now has its senders come again, whatever their path.
func TestAShutConnectionAsksItsSendersToComeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	f.table.Replace([]Target{{Project: "default", Connection: "hooks", ConnectionID: connectionID, Shut: true}})
	for _, path := range []string{"/webhooks/hooks/github", "/webhooks/" + connectionID + "/any", "/p/default/webhooks/hooks/github"} {
		w := serve(f, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(order("o1"))))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.NotEmpty(t, w.Header().Get("Retry-After"))
	}
	require.Equal(t, http.StatusNotFound, serve(f, httptest.NewRequest(http.MethodPost, "/webhooks/other/github", nil)).Code)
	require.Empty(t, f.table.ConnectionIDs(), "what is stored of it waits")
	require.Empty(t, f.seen())
}
