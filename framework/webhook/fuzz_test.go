package webhook

import (
	"bytes"
	"net/http"
	"slices"
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
