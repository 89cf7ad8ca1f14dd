package webhook

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

// Whoever holds an old delivery adds a time of now to it, and whoever stands in
// between an old one to a new delivery: a header that holds two times is refused,
// wherever the second one stands and whether it differs or not.
func TestTwoTimesInHeadersAreRefused(t *testing.T) {
	t.Parallel()
	specs := signingSpecs()
	specs["pairs in two headers"] = spec(catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{
		Header: "X-Acme-Signature", ExtraHeaders: []string{"X-Acme-Signature-2"}, Parse: catalog.ParsePairs, VersionKeys: []string{"v1"},
		Signed: "{timestamp}.{body}", Timestamp: "key:t",
	}}, textSecret)
	timed := map[string]int{}
	for name, c := range specs {
		resolved, _ := resolve(c.spec)
		place, _ := catalog.ParseSource(resolved.Signature.Timestamp, "header", "body", "key")
		if place.Kind == "" {
			continue // no time is signed
		}
		timed[place.Kind]++
		v := newVerifier(t, c.spec, c.secret)
		for _, age := range []time.Duration{0, time.Hour} {
			good := Request{URI: "/webhooks/a/b", Header: http.Header{}, Body: body}
			require.NoError(t, SignRequest(c.spec, caseConfig(c.spec, c.secret), clock.Add(-age), "msg_1", &good))
			if age == 0 {
				require.NoError(t, v.Verify(clock, good), name)
			}
			for _, second := range []time.Duration{0, age, time.Minute, time.Hour, -time.Hour} {
				other := writeTimestamp(clock.Add(-second), resolved.Signature.TimestampUnit)
				for _, h := range withSecondTime(good.Header, place, other, v) {
					r := good
					r.Header = h
					require.ErrorIs(t, v.Verify(clock, r), ErrUnverified, "%s: %v", name, h)
				}
			}
		}
	}
	require.Positive(t, timed["key"])
	require.Positive(t, timed["header"])
}

// withSecondTime returns headers that hold a second time in every way there is.
func withSecondTime(good http.Header, place catalog.Source, other string, v *Verifier) []http.Header {
	var all []http.Header
	set := func(name string, values ...string) {
		h := good.Clone()
		h[http.CanonicalHeaderKey(name)] = values
		all = append(all, h)
	}
	if place.Kind == "header" {
		own := good.Get(place.Name)
		for _, values := range [][]string{{own, other}, {other, own}, {own + "," + other}, {other + "," + own}, {own + ", " + other}, {own + " " + other}} {
			set(place.Name, values...)
		}
		return all
	}
	name := v.schemes[0].spellings[0].signatures[0]
	own, pair := good.Get(name), place.Name+"="+other
	stamp, rest, _ := strings.Cut(own, ",")
	for _, value := range []string{pair + "," + own, own + "," + pair, stamp + "," + pair + "," + rest} {
		set(name, value)
	}
	// A second header, of the same name or of an extra one.
	set(name, own, pair+","+rest)
	set(name, pair+","+rest, own)
	for _, extra := range v.schemes[0].spellings[0].signatures[1:] {
		if pair != stamp {
			set(extra, pair+","+rest)
		}
		set(extra, pair)
	}
	return all
}

// A time in the body is the one that is signed, however often it stands there: the
// one that is looked at is the one that is proven.
func TestATimeInTheBodyIsTheSignedOne(t *testing.T) {
	t.Parallel()
	old := clock.Add(-time.Hour)
	for name, auth := range map[string]catalog.Auth{"webhookTimestamp": catalog.AuthLinear, "signature.timestamp": catalog.AuthMailgun} {
		c := catalog.EndpointSpec{Auth: auth}
		v := newVerifier(t, c, textSecret)
		r := Request{Header: http.Header{}, Body: []byte(`{"a":1}`)}
		require.NoError(t, SignRequest(c, caseConfig(c, textSecret), old, "msg_1", &r))
		requireRefused(t, v.Verify(clock, r))
		require.NoError(t, v.Verify(old, r))
		resolved, _ := resolve(c)
		fresh := writeTimestamp(clock, resolved.Signature.TimestampUnit)
		parts := strings.Split(name, ".")
		key := parts[len(parts)-1]
		stale := writeTimestamp(old, resolved.Signature.TimestampUnit)
		for _, spelling := range []string{`"` + key + `":` + fresh, `"` + key + `":"` + fresh + `"`} {
			for _, written := range []string{`"` + key + `":` + stale, `"` + key + `":"` + stale + `"`} {
				for _, both := range []string{spelling + "," + written, written + "," + spelling} {
					changed := r
					changed.Body = bytes.ReplaceAll(r.Body, []byte(written), []byte(both))
					if bytes.Equal(changed.Body, r.Body) {
						continue
					}
					require.ErrorIs(t, v.Verify(clock, changed), ErrUnverified, "%s", changed.Body)
				}
			}
		}
	}
}
