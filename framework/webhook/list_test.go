package webhook

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

func TestFindsTheGoodSignatureAnywhereInTheList(t *testing.T) {
	t.Parallel()
	bad := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	standard := sign(t, catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret, body)
	good := standard.Get("Webhook-Signature")
	v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, standardSecret)
	others := []string{"v1," + bad, "v1a," + bad, "v1,"}
	for at := 0; at <= len(others); at++ {
		list := append(append(append([]string{}, others[:at]...), good), others[at:]...)
		standard.Set("Webhook-Signature", strings.Join(list, " "))
		require.NoError(t, v.Verify(clock, Request{Header: standard, Body: body}), "good one at %d", at)
	}
	standard.Set("Webhook-Signature", strings.Join(others, " "))
	requireRefused(t, v.Verify(clock, Request{Header: standard, Body: body}))

	stripeSpec := catalog.EndpointSpec{Auth: catalog.AuthStripe}
	signed := sign(t, stripeSpec, textSecret, body).Get("Stripe-Signature")
	stamp, v1, _ := strings.Cut(signed, ",")
	s := newVerifier(t, stripeSpec, textSecret)
	parts := []string{stamp, "v1=" + strings.Repeat("0", 64), "v0=1", "scheme=x"}
	for at := 0; at <= len(parts); at++ {
		list := append(append(append([]string{}, parts[:at]...), v1), parts[at:]...)
		require.NoError(t, s.Verify(clock, Request{Header: header("Stripe-Signature", strings.Join(list, ",")), Body: body}), "good one at %d", at)
	}
	for _, value := range []string{
		stamp + "," + stamp + "," + v1, v1, stamp, stamp + "," + v1 + ",", "t=," + v1, stamp + ",v1", stamp + ", " + v1, stamp + ";" + v1,
		"T" + stamp[1:] + "," + v1, stamp + ",V1" + v1[2:],
	} {
		requireRefused(t, s.Verify(clock, Request{Header: header("Stripe-Signature", value), Body: body}))
	}
}

func TestFindsTheGoodSignatureInEveryFormOfAList(t *testing.T) {
	t.Parallel()
	acme := func(change func(*catalog.SignatureSpec)) catalog.EndpointSpec {
		s := catalog.SignatureSpec{Header: "X-Acme-Signature", Prefix: "v1="}
		change(&s)
		return catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: s}
	}
	bad := "v1=" + strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		spec catalog.EndpointSpec
		put  func(h http.Header, list []string)
	}{
		"repeated": {acme(func(s *catalog.SignatureSpec) { s.Parse = catalog.ParseRepeated }), func(h http.Header, list []string) { h["X-Acme-Signature"] = list }},
		"words": {acme(func(s *catalog.SignatureSpec) { s.Parse = catalog.ParseWords }), func(h http.Header, list []string) {
			h.Set("X-Acme-Signature", strings.Join(list, " "))
		}},
		"further headers": {acme(func(s *catalog.SignatureSpec) { s.ExtraHeaders = []string{"X-Acme-Signature-2", "X-Acme-Signature-3"} }), func(h http.Header, list []string) {
			for i, value := range list {
				h.Set([]string{"X-Acme-Signature", "X-Acme-Signature-2", "X-Acme-Signature-3"}[i], value)
			}
		}},
	} {
		v := newVerifier(t, c.spec, textSecret)
		good := sign(t, c.spec, textSecret, body).Get("X-Acme-Signature")
		for size := 1; size <= 3; size++ {
			for at := range size {
				list := slices.Repeat([]string{bad}, size)
				list[at] = good
				h := http.Header{}
				c.put(h, list)
				require.NoError(t, v.Verify(clock, Request{Header: h, Body: body}), "%s: good one at %d of %d", name, at, size)
				list[at] = bad
				c.put(h, list)
				require.ErrorIs(t, v.Verify(clock, Request{Header: h, Body: body}), ErrUnverified, name)
				// One that is malformed makes all of them so.
				list[at], list[size-1] = good, "v2="+good[3:]
				c.put(h, list)
				require.ErrorIs(t, v.Verify(clock, Request{Header: h, Body: body}), ErrUnverified, "%s: a malformed one beside it", name)
			}
		}
	}
	hookdeck := catalog.EndpointSpec{Auth: catalog.AuthHookdeck}
	h := sign(t, hookdeck, textSecret, body)
	h.Set("X-Hookdeck-Signature-2", h.Get("X-Hookdeck-Signature"))
	h.Set("X-Hookdeck-Signature", "AAAA")
	require.NoError(t, newVerifier(t, hookdeck, textSecret).Verify(clock, Request{Header: h, Body: body}))
	// A further header alone is not enough: the first says that there is a signature.
	h.Del("X-Hookdeck-Signature")
	requireRefused(t, newVerifier(t, hookdeck, textSecret).Verify(clock, Request{Header: h, Body: body}))
}

func TestRefusesMoreSignaturesThanAnySenderMakes(t *testing.T) {
	t.Parallel()
	repeated := catalog.EndpointSpec{Auth: catalog.AuthHMAC, Signature: catalog.SignatureSpec{Header: "X-Sig", Parse: catalog.ParseRepeated}}
	good := sign(t, repeated, textSecret, body).Get("X-Sig")
	for count, ok := range map[int]bool{maxSignatures: true, maxSignatures + 1: false} {
		h := http.Header{"X-Sig": slices.Repeat([]string{good}, count)}
		require.Equal(t, ok, newVerifier(t, repeated, textSecret).Verify(clock, Request{Header: h, Body: body}) == nil, "%d headers", count)
	}
	c := catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}
	h := sign(t, c, standardSecret, body)
	h.Set("Webhook-Signature", strings.Repeat("v1,AAAA ", maxSignatures)+h.Get("Webhook-Signature"))
	requireRefused(t, newVerifier(t, c, standardSecret).Verify(clock, Request{Header: h, Body: body}))
}
