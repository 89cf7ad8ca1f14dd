package http_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpguard"
)

func TestWrongSettingsAreRefusedAllAtOnce(t *testing.T) {
	t.Parallel()
	err := connector.Plugin.CheckSettings(map[string]any{
		"endpoint": "https://{{ .vars.host }}/x", "method": "get", "records": ".data[", "interval_ms": 999, "retry_attempts": 21,
		"headers":    []any{map[string]any{"name": "X", "value": "{{"}},
		"pagination": map[string]any{"type": "curser"}, "authentication": map[string]any{"type": "bearer"}, "tls": map[string]any{"min_version": "1.1"},
	})
	require.Error(t, err)
	for _, want := range []string{
		`"method" must be GET, POST, PUT, PATCH or DELETE`, `"records" is no jq expression`, `"interval_ms" must be at least 1000`,
		`"retry_attempts" must be at most 20`, `"pagination.type" must be none, cursor`, `did you mean "cursor"?`,
		`"authentication.token" is required with type bearer`, `"tls.min_version" must be 1.2 or 1.3`,
	} {
		require.ErrorContains(t, err, want)
	}
	err = connector.Plugin.CheckSettings(map[string]any{
		"endpoint": "https://{{ .vars.host }}/x", "interval_ms": 1500, "path": "x", "body": "x", "auth": "stripe", "allow_hosts": []any{"a/b"},
		"headers": []any{
			map[string]any{"name": "Host", "value": "x"},
			map[string]any{"name": "a b", "value": "x"},
			map[string]any{"name": "X", "value": "a\nb"},
			map[string]any{"name": "webhook-id", "value": "x"},
			map[string]any{"name": "svix-id", "value": "x"},
		},
		"streams": []any{
			map[string]any{"stream": "a", "endpoint": "ftp://x"},
			map[string]any{"stream": "b", "endpoint": "https://u:p@x"},
			map[string]any{"stream": "c", "endpoint": "https://api.example.com{{ .cursor }}"},
			map[string]any{"stream": "d", "format": "csv", "pagination": map[string]any{"type": "cursor"}},
		},
		"tls": map[string]any{"ca": "nothing"},
	})
	for _, want := range []string{
		`"auth" belongs to mode: push`, `"allow_hosts[0]" is no host`, `"headers[0].name" may not be set`, `"headers[1].name" is no header name`,
		`"headers[2].value" holds a line break`, `"headers[3].name" may not be set`, `"headers[4].name" may not be set`,
		`"streams[0].endpoint" must start with http`, `"streams[1].endpoint" must not hold credentials`, `"streams[2].endpoint" must name its host without an expression`,
		`"streams[3].pagination.cursor" is required`, `"streams[3].pagination.type" cursor reads a JSON body`, `"streams[0].interval_ms" must be whole seconds, such as 2000`,
		`"streams[0].path" must start with /`, `"streams[0].body" cannot be sent with GET`, `"tls" is wrong: the authorities hold no PEM certificate`,
	} {
		require.ErrorContains(t, err, want)
	}
	err = connector.Plugin.CheckSettings(map[string]any{
		"mode": "push", "endpoint": "https://x.example", "routing": map[string]any{"header": "X-Kind", "body": ".type"},
		"auth": map[string]any{"type": "hmac", "signature": map[string]any{"header": "X-Sig"}}, "idempotency_key": []any{"X-Id"}, "headers": []any{map[string]any{"name": "X", "value": "x"}},
	})
	for _, want := range []string{
		`"endpoint" is refused in push mode`, `"path" is required in push mode`, `"routing" needs header or body, and not both`,
		`"routing.header" is not covered by the signature of auth hmac`, `"idempotency_key[0]" must be header:Name`, `"headers" belongs to mode: poll`,
	} {
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, connector.Plugin.CheckSettings(map[string]any{"endpoint": "https://x.example"}), `"stream" or streams is required`)
}

func TestLoudWhereNothingIsVerified(t *testing.T) {
	t.Parallel()
	warnings := connector.Plugin.Warnings(map[string]any{
		"endpoint": "http://api.example.com", "stream": "a", "tls": map[string]any{"insecure": true},
		"authentication": map[string]any{"type": "bearer", "token": "short"},
	})
	require.Len(t, warnings, 3)
	require.ErrorContains(t, warnings, `"tls.insecure" is set: nobody verifies who answers`)
	require.NotContains(t, warnings.Error(), `short`)
}

// The key of a hook in an address is in nothing that is said about it.
func TestTheTokenOfAnAddressIsNotTold(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef-canary"
	answer := http.StatusNotFound
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Contains(t, r.URL.Path, token)
		w.WriteHeader(answer)
	}))
	t.Cleanup(server.Close)
	guard := httpguard.New(httpguard.Config{AllowLoopback: true})
	t.Cleanup(guard.Close)
	b, err := connector.Plugin.Open(t.Context(), framework.OpenRequest{
		Settings:  map[string]any{"endpoint": server.URL + "/hooks/" + token, "stream": "a", "retry_attempts": 0},
		NewClient: guard.NewClient,
	})
	require.NoError(t, err)
	_, _, err = b.Page(t.Context(), "a", framework.PageCall{})
	require.ErrorContains(t, err, "/hooks/0123***")
	require.NotContains(t, err.Error(), "canary")
	server.Close()
	_, _, err = b.Page(t.Context(), "a", framework.PageCall{})
	require.ErrorContains(t, err, "/hooks/0123***")
	require.NotContains(t, err.Error(), "canary")
}

func TestPrivateTargetsAreRefusedWhenDialling(t *testing.T) {
	t.Parallel()
	guard := httpguard.New(httpguard.Config{})
	t.Cleanup(guard.Close)
	for _, settings := range []map[string]any{
		{"endpoint": "http://169.254.169.254/latest/meta-data", "stream": "a"},
		{"endpoint": "http://127.0.0.1:9/", "stream": "a"},
		{"endpoint": "https://1.1.1.1/", "stream": "a", "authentication": map[string]any{"type": "oauth2", "token_url": "http://10.0.0.1/token", "client_id": "c", "client_secret": "canary-secret-of-a-client"}},
	} {
		require.NoError(t, connector.Plugin.CheckSettings(settings), "refused when dialling, not when it is saved")
		b, err := connector.Plugin.Open(t.Context(), framework.OpenRequest{Settings: settings, Client: guard.Client, NewClient: guard.NewClient})
		require.NoError(t, err)
		_, _, err = b.Page(t.Context(), "a", framework.PageCall{})
		require.Error(t, err)
		require.ErrorIs(t, err, httpguard.ErrAddressRefused)
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestARequestThatFailsInPassingIsTriedAgain(t *testing.T) {
	t.Parallel()
	requests, failures, header := 0, 1, ""
	provider := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		if requests <= failures {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprint(w, `[]`)
	})
	b := open(t, map[string]any{"endpoint": provider, "stream": "things", "retry_attempts": 1})
	_, _, err := b.Page(t.Context(), "things", framework.PageCall{})
	require.NoError(t, err)
	require.Equal(t, 2, requests)
	requests, failures = 0, 9
	_, _, err = b.Page(t.Context(), "things", framework.PageCall{})
	require.ErrorContains(t, err, "provider answered 503")
	require.Equal(t, 2, requests, "one try and one more")
	requests, header = 0, "1800"
	_, _, err = b.Page(t.Context(), "things", framework.PageCall{})
	require.Equal(t, 30*time.Minute, framework.RetryDelay(err))
	require.Equal(t, 1, requests, "a long wait is the scheduler's")
}

func TestLargeBodiesAreCompressed(t *testing.T) {
	t.Parallel()
	var encoding string
	var body []byte
	provider := serve(t, func(w http.ResponseWriter, r *http.Request) {
		encoding = r.Header.Get("Content-Encoding")
		body, _ = io.ReadAll(r.Body)
		_, _ = fmt.Fprint(w, `[]`)
	})
	for _, compression := range []string{"none", "gzip", "zstd"} {
		for text, compressed := range map[string]bool{"short": false, "a text that is long enough": compression != "none"} {
			_, _, err := open(t, map[string]any{
				"endpoint": provider, "stream": "a", "method": "POST", "body": text, "compression": compression, "compression_threshold": 10,
			}).Page(t.Context(), "a", framework.PageCall{})
			require.NoError(t, err)
			require.Equal(t, compressed, encoding == compression)
			var plain io.Reader = bytes.NewReader(body)
			switch encoding {
			case "gzip":
				plain, err = gzip.NewReader(plain)
			case "zstd":
				plain, err = zstd.NewReader(plain, zstd.WithDecoderConcurrency(1))
			}
			require.NoError(t, err)
			got, err := io.ReadAll(plain)
			require.NoError(t, err)
			require.Equal(t, text, string(got))
		}
	}
}
