package framework_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

type pageFunc = func(context.Context, framework.SyncRequest[planetCursor], *ingest.Buffer) (framework.SyncResult[planetCursor], error)

// openWith opens the sky connector with the given sync route.
func openWith(t *testing.T, page pageFunc, receive framework.WebhookFunc) *framework.Binding {
	t.Helper()
	p := framework.Define(sky, func(context.Context, framework.Instance[planetSettings]) (framework.Routes, error) {
		return framework.Routes{framework.Sync(Planets, page), framework.Webhook(Inbox, receive)}, nil
	})
	b, err := p.Open(t.Context(), framework.OpenRequest{Settings: map[string]any{"api_key": "sk_live_canary", "webhook_secret": "whsec_canary"}})
	require.NoError(t, err)
	return b
}

func TestRoutesAreHeldAgainstTheCatalog(t *testing.T) {
	t.Parallel()
	other := catalog.Poll[Planet, planetCursor]("moons", catalog.PollSpec{Schedule: "@hourly"})
	elsewhere := catalog.Receive("elsewhere", catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks})
	p := framework.Define(sky, func(context.Context, framework.Instance[planetSettings]) (framework.Routes, error) {
		return framework.Routes{framework.Sync(other, nil), framework.Webhook(elsewhere, nil), framework.Sync(other, nil), {}}, nil
	})
	_, err := p.Open(t.Context(), framework.OpenRequest{Settings: map[string]any{"api_key": "k"}})
	var findings framework.RouteErrors
	require.ErrorAs(t, err, &findings)
	rules := make([]string, len(findings))
	for i, f := range findings {
		rules[i] = f.Rule
	}
	require.Equal(t, []string{"SC202", "SC309", "SC202", "SC202", "SC201", "SC302"}, rules)

	twice := framework.Define(sky, func(context.Context, framework.Instance[planetSettings]) (framework.Routes, error) {
		return framework.Routes{framework.Sync(Planets, nil), framework.Sync(Planets, nil), framework.Webhook(Inbox, nil), framework.Webhook(Inbox, nil)}, nil
	})
	_, err = twice.Open(t.Context(), framework.OpenRequest{Settings: map[string]any{"api_key": "k"}})
	require.ErrorContains(t, err, "SC203")
	require.ErrorContains(t, err, "two webhook routes")
}

func TestAPanicIsContainedAndCarriesItsStack(t *testing.T) {
	t.Parallel()
	b := openWith(t, func(context.Context, framework.SyncRequest[planetCursor], *ingest.Buffer) (framework.SyncResult[planetCursor], error) {
		panic("token sk_live_canary leaked")
	}, nil)
	_, _, err := b.Page(t.Context(), "planets", framework.PageCall{})
	var p *framework.PanicError
	require.ErrorAs(t, err, &p)
	require.Contains(t, p.Stack, "binding_test.go")
	require.Equal(t, framework.ClassBug, framework.ClassOf(err))
	require.NotContains(t, err.Error()+p.Stack+p.Value, "canary")
}

func TestAHangingHandlerIsAbandonedAndItsLateEmissionRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, late := make(chan struct{}), make(chan error, 1)
		b := openWith(t, func(_ context.Context, _ framework.SyncRequest[planetCursor], out *ingest.Buffer) (framework.SyncResult[planetCursor], error) {
			<-release
			late <- ingest.Canonical(out, Planets, "planet", Planet{}, ingest.Options{IdempotencyKey: ingest.EventKey("x")})
			return framework.SyncResult[planetCursor]{}, nil
		}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := b.Page(ctx, "planets", framework.PageCall{})
		require.ErrorIs(t, err, framework.ErrAbandoned)
		close(release)
		require.ErrorIs(t, <-late, ingest.ErrSealed)
	})
}

func TestAFailedEmissionPoisonsThePage(t *testing.T) {
	t.Parallel()
	b := openWith(t, func(_ context.Context, _ framework.SyncRequest[planetCursor], out *ingest.Buffer) (framework.SyncResult[planetCursor], error) {
		_ = ingest.Canonical(out, Planets, "planet", Planet{}, ingest.Options{}) // the author forgot the key and the error
		return framework.SyncResult[planetCursor]{Cursor: planetCursor{1}}, nil
	}, nil)
	_, emissions, err := b.Page(t.Context(), "planets", framework.PageCall{})
	require.ErrorIs(t, err, ingest.ErrNoKey)
	require.Empty(t, emissions)
	require.Equal(t, framework.ClassPermanent, framework.ClassOf(err))
}

func TestAnUnreadableCursorNeverStartsFromTheBeginning(t *testing.T) {
	t.Parallel()
	called := false
	b := openWith(t, func(context.Context, framework.SyncRequest[planetCursor], *ingest.Buffer) (framework.SyncResult[planetCursor], error) {
		called = true
		return framework.SyncResult[planetCursor]{}, nil
	}, nil)
	for _, saved := range []string{`"text"`, `{"page":3}`, `{"offset":"x"}`, `{"offset":1} {}`, `{`} {
		_, _, err := b.Page(t.Context(), "planets", framework.PageCall{Cursor: []byte(saved)})
		require.ErrorIs(t, err, framework.ErrCursorUnreadable, saved)
	}
	require.False(t, called)
}

func TestErrorsOfHandlersHoldNoSecret(t *testing.T) {
	t.Parallel()
	b := openWith(t, nil, func(context.Context, *framework.Delivery, *ingest.Buffer) error {
		return fmt.Errorf("call failed: %w", errors.New(`Get "https://user:pw@api.test/x?api_key=hidden&a=b": sk_live_canary whsec_canary refused`))
	})
	_, err := b.Deliver(t.Context(), "sky", &framework.Delivery{})
	require.EqualError(t, err, `call failed: Get "https://***@api.test/x?***": *** *** refused`)
}

func TestUnknownStreamsAndEndpointsHaveNoRoute(t *testing.T) {
	t.Parallel()
	b := openWith(t, nil, nil)
	_, _, err := b.Page(t.Context(), "moons", framework.PageCall{})
	require.ErrorIs(t, err, framework.ErrNoRoute)
	_, err = b.Deliver(t.Context(), "moons", &framework.Delivery{})
	require.ErrorIs(t, err, framework.ErrNoRoute)
	_, _, err = b.Page(t.Context(), "planets", framework.PageCall{})
	require.ErrorContains(t, err, "is nil")
}

func TestSettingsReportEveryErrorAtOnce(t *testing.T) {
	t.Parallel()
	type settings struct {
		Key   framework.Secret `json:"key" required:"true"`
		URL   framework.URL    `json:"url"`
		Limit int              `json:"limit" default:"50"`
		On    bool             `json:"on"`
	}
	p := framework.Define(sky, func(context.Context, framework.Instance[settings]) (framework.Routes, error) { return nil, nil })
	err := p.CheckSettings(map[string]any{"url": "https://u:p@x", "limit": "ten", "on": 3, "kee": "SECRET"})
	require.EqualError(t, err, strings.Join([]string{
		`setting "kee" is unknown; did you mean "key"?`,
		`setting "key" is required`,
		`setting "limit" must be a whole number, not string`,
		`setting "on" must be true or false, not number`,
		`setting "url" must not hold credentials; use a secret setting`,
	}, "\n"))
	require.Equal(t, []string{"key", "webhook_secret"}, p.SecretSettings())
	require.NoError(t, p.CheckSettings(map[string]any{"key": "k", "webhook_secret": "s"}))
}

func TestSecretsPrintAsStars(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := framework.Secret("canary")
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", s, "settings", planetSettings{s})
	text := fmt.Sprintf("%v %+v %#v %s %q %x", s, planetSettings{s}, planetSettings{s}, s, s, s) + log.String()
	require.NotContains(t, text, "canary")
	require.NotContains(t, text, "63616e617279")
}

func TestClassesOfErrors(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]framework.Class{
		401: framework.ClassAuth, 403: framework.ClassAuth, 404: framework.ClassPermanent, 422: framework.ClassPermanent,
		408: framework.ClassTransient, 429: framework.ClassTransient, 500: framework.ClassTransient, 503: framework.ClassTransient,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/a?key=hidden", http.NoBody)
		require.NoError(t, err)
		err = framework.ResponseError(&http.Response{StatusCode: status, Header: http.Header{}, Request: request})
		require.Equal(t, want, framework.ClassOf(err), status)
		require.NotContains(t, err.Error(), "hidden")
	}
	limited := &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Retry-After": {"30"}}}
	require.Equal(t, framework.ClassTransient, framework.ClassOf(framework.ResponseError(limited)))
	require.Equal(t, 30*time.Second, framework.RetryDelay(framework.ResponseError(limited)))
	require.NoError(t, framework.ResponseError(&http.Response{StatusCode: http.StatusNoContent}))
	require.NoError(t, framework.Permanent(nil))
}

func TestRetryAfterIsClamped(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, " 7 ": 7 * time.Second, "99999": framework.MaxRetryAfter, "99999999999999999999": framework.MaxRetryAfter,
		"-1": 0, "1.5": 0, "NaN": 0, "1e9": 0, "soon": 0,
		"Sun, 22 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sun, 22 Nov 2026 11:00:00 GMT": 0, "Fri, 22 Nov 2126 12:00:00 GMT": framework.MaxRetryAfter,
	} {
		require.Equal(t, want, framework.ParseRetryAfter(value, now), value)
	}
}

func TestTheCursorTypeFollowsTheShapeAndNotTheName(t *testing.T) {
	t.Parallel()
	digest := func(p framework.Plugin, stream string) framework.CursorType {
		b, err := p.Open(t.Context(), framework.OpenRequest{Settings: map[string]any{"api_key": "k"}})
		require.NoError(t, err)
		return b.CursorType(stream)
	}
	type renamed struct {
		Offset int `json:"offset"`
	}
	type changed struct {
		Offset string `json:"offset"`
	}
	require.Equal(t, digest(withCursor[planetCursor](0), "s"), digest(withCursor[renamed](0), "s"))
	require.NotEqual(t, digest(withCursor[planetCursor](0), "s"), digest(withCursor[changed](0), "s"))
	require.NotEqual(t, digest(withCursor[planetCursor](0), "s"), digest(withCursor[planetCursor](1), "s"))
	require.NotEqual(t, digest(withCursor[time.Time](0), "s"), digest(withCursor[planetCursor](0), "s"))
}

func withCursor[C any](version int) framework.Plugin {
	s := catalog.Poll[Planet, C]("s", catalog.PollSpec{Schedule: "@hourly", CursorVersion: version})
	c := catalog.Connector{Key: "c", Streams: []catalog.Stream{s}}
	return framework.Define(c, func(context.Context, framework.Instance[planetSettings]) (framework.Routes, error) {
		return framework.Routes{framework.Sync(s, func(context.Context, framework.SyncRequest[C], *ingest.Buffer) (framework.SyncResult[C], error) {
			return framework.SyncResult[C]{}, nil
		})}, nil
	})
}
