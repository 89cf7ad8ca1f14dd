package webhook

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/catalog"
)

func keyedVerifier(t require.TestingT, sources ...string) *Verifier {
	v, err := New(catalog.EndpointSpec{Auth: catalog.AuthGitHub, DeliveryKey: sources}, []string{textSecret})
	require.NoError(t, err)
	return v
}

func TestTakesTheFirstIDThatIsThere(t *testing.T) {
	t.Parallel()
	v := keyedVerifier(t, "header:X-Request-Id", "body:data.id", "body:id")
	require.Equal(t, `header X-Request-Id "r1"`, v.DeliveryKey(header("X-Request-Id", "r1"), []byte(`{"id":"b"}`)))
	require.Equal(t, `body "data.id" "d"`, v.DeliveryKey(header("X-Request-Id", " "), []byte(`{"id":"b","data":{"id":"d"}}`)))
	require.Equal(t, `body "id" "b"`, v.DeliveryKey(http.Header{}, []byte(`{"id":"b","data":{"id":""}}`)))
	require.Equal(t, `body "id" number "9007199254740993"`, v.DeliveryKey(http.Header{}, []byte(`{"id": 9007199254740993 }`)))
	require.Equal(t, `body "id" "b"`, v.DeliveryKey(header("X-Request-Id", "r1", "X-Request-Id", "r2"), []byte(`{"id":"b"}`)), "a repeated id names nothing")
}

func TestPresetsKnowWhereTheIDIs(t *testing.T) {
	t.Parallel()
	github := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthGitHub}, textSecret)
	require.Equal(t, `header X-Github-Delivery "g1"`, github.DeliveryKey(header("X-GitHub-Delivery", "g1"), body))
	stripe := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthStripe}, textSecret)
	require.Equal(t, `body "id" "evt_1"`, stripe.DeliveryKey(http.Header{}, body))
	standard := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret)
	require.Equal(t, `header Svix-Id "m1"`, standard.DeliveryKey(header("svix-id", "m1"), body))
}

func TestADeliveryWithoutIDIsKnownByItsBody(t *testing.T) {
	t.Parallel()
	for _, sources := range [][]string{nil, {"header:X-Request-Id"}, {"body:id"}} {
		v := keyedVerifier(t, sources...)
		for _, b := range []string{"", "{}", "[]", "null", `{"id":null}`, `{"id":{}}`, `{"id":true}`, "no json", "\xff"} {
			key := v.DeliveryKey(http.Header{}, []byte(b))
			require.True(t, strings.HasPrefix(key, "sha256:") && len(key) == len("sha256:")+64, "%q gives %q", b, key)
		}
		require.NotEqual(t, v.DeliveryKey(http.Header{}, []byte("{}")), v.DeliveryKey(http.Header{}, []byte("{ }")))
	}
}

// A delivery's identity is where its id stands, of what kind it is, and the id.
// Distinct identities have distinct keys, whatever bytes they hold.
func TestDistinctDeliveriesHaveDistinctKeys(t *testing.T) {
	t.Parallel()
	type identity struct {
		source string
		id     string
	}
	ids := rapid.OneOf(
		rapid.StringMatching(`[a-c"\\ ./:-]{1,4}`), rapid.SampledFrom([]string{"1", "\"1\"", "number 1", "sha256:1", "\xff", "\ufffd", "a\x00", strings.Repeat("a", 257), strings.Repeat("a", 258)}),
	)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) identity {
			return identity{rapid.SampledFrom([]string{"header:X-A", "header:X-B", "body:a", "body:b"}).Draw(t, name+" source"), ids.Draw(t, name+" id")}
		}
		key := func(i identity) string {
			kind, name, _ := strings.Cut(i.source, ":")
			v := keyedVerifier(t, i.source)
			if kind == "header" {
				return v.DeliveryKey(http.Header{http.CanonicalHeaderKey(name): {i.id}}, []byte("{}"))
			}
			return "" + v.find(t, name, i.id)
		}
		a, b := draw("first"), draw("second")
		if strings.TrimSpace(a.id) == "" || strings.TrimSpace(b.id) == "" || a == b {
			return
		}
		if ka, kb := key(a), key(b); ka != "" && kb != "" {
			require.NotEqual(t, ka, kb)
		}
	})
}

// find asks for the key of a JSON body that holds id, or "" when JSON cannot.
func (v *Verifier) find(t require.TestingT, name, id string) string {
	if strings.ToValidUTF8(id, "") != id || strings.ContainsRune(id, 0) {
		return ""
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(id)
	key := v.DeliveryKey(http.Header{}, []byte(`{"`+name+`":"`+quoted+`"}`))
	require.NotContains(t, key, "sha256:44136f") // the hash of {}
	return key
}

func TestTellsTheSendersOwnID(t *testing.T) {
	t.Parallel()
	v := keyedVerifier(t, "header:X-Request-Id", "body:data.id")
	for _, id := range []string{"r1", `a "quoted" id`, "two words", "\xff", "é", "number 1"} {
		require.Equal(t, id, DeliveryID(v.DeliveryKey(header("X-Request-Id", id), nil)))
	}
	require.Equal(t, "d", DeliveryID(v.DeliveryKey(http.Header{}, []byte(`{"data":{"id":"d"}}`))))
	require.Equal(t, "9007199254740993", DeliveryID(v.DeliveryKey(http.Header{}, []byte(`{"data":{"id":9007199254740993}}`))))
	require.Regexp(t, "^sha256:[0-9a-f]{64}$", DeliveryID(v.DeliveryKey(header("X-Request-Id", strings.Repeat("a", 257)), nil)))
	require.Regexp(t, "^sha256:[0-9a-f]{64}$", DeliveryID(v.DeliveryKey(http.Header{}, nil)))
}

func TestKeepsCredentialsOutOfTheHeader(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthAPIKey, APIKeyHeader: "X-Acme", DeliveryKey: []string{"header:I-Twilio-Idempotency-Token"}}, textSecret)
	h := header(
		"Authorization", "x", "Proxy-Authorization", "x", "Cookie", "x", "X-Acme", "x", "X-Hub-Signature", "x", "X-Hub-Signature-256", "x",
		"Stripe-Signature", "x", "X-Shopify-Hmac-Sha256", "x", "X-Gitlab-Token", "x", "X-Forwarded-For", "x", "Forwarded", "x", "X-Real-Ip", "x",
		"Content-Type", "application/json", "X-GitHub-Event", "push", "I-Twilio-Idempotency-Token", "t1",
	)
	require.Equal(t, header("Content-Type", "application/json", "X-GitHub-Event", "push", "I-Twilio-Idempotency-Token", "t1"), v.PublicHeader(h))
	require.Equal(t, "x", h.Get("Authorization"), "the request's own header stays as it is")
}
