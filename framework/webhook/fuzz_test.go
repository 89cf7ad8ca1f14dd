package webhook

import (
	"bytes"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

// FuzzSignatureHeader hands any header to every scheme: it never panics, and
// never verifies, as the fuzzer does not know the secret.
func FuzzSignatureHeader(f *testing.F) {
	for _, seed := range []string{"", "v1,", "t=1,v1=", "t=1700000000,v1=00,v0=1", "sha256=00", "v1,AA v1a,BB", ",,,", "==", " "} {
		f.Add(seed, "1700000000", "msg_1")
	}
	names := []string{"Webhook-Signature", "Svix-Signature", "Stripe-Signature", "X-Hub-Signature-256", "X-Acme-Signature", "Authorization"}
	var verifiers []*Verifier
	specs := signingSpecs()
	specs["bearer"] = spec(catalog.EndpointSpec{Auth: catalog.AuthBearer}, textSecret)
	specs["basic"] = spec(catalog.EndpointSpec{Auth: catalog.AuthBasic}, "user:"+textSecret)
	for _, c := range specs {
		verifiers = append(verifiers, newVerifier(f, c.spec, c.secret))
	}
	f.Fuzz(func(t *testing.T, signature, timestamp, id string) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "X-Acme-Time": {timestamp}}
		for _, name := range names {
			h[name] = []string{signature}
		}
		for _, v := range verifiers {
			require.ErrorIs(t, v.Verify(clock, Request{Header: h, Body: body}), ErrUnverified)
			require.NotEmpty(t, v.DeliveryKey(h, []byte(signature)))
		}
	})
}

// FuzzChangedByte changes one byte of a signed body or of its signature header:
// the delivery never verifies.
func FuzzChangedByte(f *testing.F) {
	f.Add([]byte(`{"id":"evt_1"}`), uint(3), byte(1), true)
	f.Add([]byte(`x`), uint(70), byte(32), false)
	f.Add([]byte(`{"a":"é"}`), uint(20), byte(0x80), false)
	specs := signingSpecs()
	verifiers := map[string]*Verifier{}
	for name, c := range specs {
		verifiers[name] = newVerifier(f, c.spec, c.secret)
	}
	f.Fuzz(func(t *testing.T, payload []byte, at uint, change byte, inBody bool) {
		if change == 0 || inBody && len(payload) == 0 {
			t.Skip("nothing would change")
		}
		for name, c := range specs {
			if c.spec.Auth == catalog.AuthX && tokenPattern.Match(payload) {
				continue // what its challenge would sign is never a delivery
			}
			v := verifiers[name]
			h := sign(t, c.spec, c.secret, payload)
			changed := slices.Clone(payload)
			if inBody {
				changed[at%uint(len(changed))] ^= change
				require.False(t, bytes.Equal(changed, payload))
			} else {
				signature := []byte(h.Get(signatureHeader(v)))
				signature[at%uint(len(signature))] ^= change
				if versions := v.schemes[0].spec.VersionKeys; oneVersion(string(signature), versions) == oneVersion(h.Get(signatureHeader(v)), versions) {
					continue // another key of the list, whose signatures are tried in the same way
				}
				h.Set(signatureHeader(v), string(signature))
			}
			require.ErrorIs(t, v.Verify(clock, Request{Header: h, Body: changed}), ErrUnverified, name)
			require.NoError(t, v.Verify(clock, Request{Header: sign(t, c.spec, c.secret, payload), Body: payload}), name)
		}
	})
}

// FuzzTimestamp holds the parser to its grammar.
func FuzzTimestamp(f *testing.F) {
	for _, seed := range []string{"0", "1700000000", "+1", "-1", "01", "99999999999999999999", "1e9", "١"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if checkTimestamp(text, "s", clock, DefaultTolerance, DefaultTolerance) == nil {
			require.Regexp(t, `^1[67][0-9]{8}$`, text)
		}
	})
}

// FuzzStranger hands whatever somebody may send to every verifier, in each place
// that it reads: it never panics and never verifies, and everything else that is
// read of a request stands it too.
func FuzzStranger(f *testing.F) {
	for _, seed := range []string{
		"", "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30.", "Basic Og==", "t=1700000000,v1=00", "v1,AA v1a,BB", "sha256=00",
		`sig1=("content-digest" "@method");created=1700000000`, "sig1=:AA==:", "sha-256=:AA==:", "https://api.paypal.com/cert.pem",
	} {
		f.Add(seed, "1700000000", []byte(`{"Type":"Notification","signature":{"timestamp":"1700000000","token":"t","signature":"00"},"webhookTimestamp":1700000000000}`))
	}
	all := everyProof(f)
	f.Fuzz(func(t *testing.T, value, second string, sent []byte) {
		for name, p := range all {
			for _, uri := range []string{p.good.URI, "/?" + value} {
				r := Request{URI: uri, Header: http.Header{"Content-Type": p.good.Header.Values("Content-Type")}, Body: sent}
				for i, header := range p.headers {
					r.Header[header] = []string{[]string{value, second}[i%2]}
				}
				require.ErrorIs(t, p.v.Verify(clock, r), ErrUnverified, name)
				require.NotEmpty(t, p.v.DeliveryKey(r.Header, r.Body), name)
				_, _, _ = p.v.Handshake(t.Context(), clock, Request{Method: http.MethodGet, URI: uri, Header: r.Header}, func() error { return ErrUnverified })
			}
		}
	})
}

// FuzzClientIP holds the reading of X-Forwarded-For to its rule: nobody but a
// trusted proxy says who sent a request.
func FuzzClientIP(f *testing.F) {
	for _, seed := range []string{"", "10.0.0.1", "1.2.3.4, 10.0.0.9", " ::1 ,", "1.2.3.4:80", "unknown", "10.0.0.1,10.0.0.2", "::ffff:1.2.3.4", "fe80::1%eth0"} {
		f.Add(seed, "1.2.3.4", "9.9.9.9:443")
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, first, last, remote string) {
		stranger := netip.MustParseAddr("203.0.113.7")
		require.Equal(t, stranger, ClientIP("203.0.113.7:443", []string{first, last}, trusted), "a stranger names another")
		_ = ClientIP(remote, []string{first, last}, trusted)
		got := ClientIP("10.0.0.1:443", []string{first, last}, trusted)
		if got.IsValid() && !contains(trusted, got) {
			hops := strings.Split(first+","+last, ",")
			for _, text := range slices.Backward(hops) {
				hop, err := netip.ParseAddr(strings.TrimSpace(text))
				require.NoError(t, err, "what is no address was passed over")
				if hop = hop.Unmap().WithZone(""); !contains(trusted, hop) {
					require.Equal(t, hop, got, "another than the last that no proxy of ours is")
					return
				}
			}
		}
	})
}
