package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
)

func TestExplainsWhatDiffers(t *testing.T) {
	t.Parallel()
	stripe := catalog.EndpointSpec{Auth: catalog.AuthStripe}
	square := catalog.EndpointSpec{Auth: catalog.AuthSquare}
	github := catalog.EndpointSpec{Auth: catalog.AuthGitHub}
	slack := catalog.EndpointSpec{Auth: catalog.AuthSlack}
	raw := []byte(`{"id":"evt_1","n":[1,2],"s":"a: b, c é"}`)
	change := func(f func(r *Request)) func(*Request, *Config, *time.Time) {
		return func(r *Request, _ *Config, _ *time.Time) { f(r) }
	}
	for want, c := range map[string]struct {
		spec   catalog.EndpointSpec
		change func(*Request, *Config, *time.Time)
	}{
		"only the time is refused":       {stripe, func(_ *Request, _ *Config, now *time.Time) { *now = now.Add(time.Hour) }},
		"is 1h0m0s old":                  {stripe, func(_ *Request, _ *Config, now *time.Time) { *now = now.Add(time.Hour) }},
		"1h0m0s in the future":           {stripe, func(_ *Request, _ *Config, now *time.Time) { *now = now.Add(-time.Hour) }},
		"a line break at its end":        {stripe, change(func(r *Request) { r.Body = append(r.Body, '\n') })},
		"signed it without white space":  {github, change(func(r *Request) { r.Body = spaced(r.Body) })},
		"byte order mark":                {github, change(func(r *Request) { r.Body = append([]byte("\xef\xbb\xbf"), r.Body...) })},
		"X-Hub-Signature-256 is missing": {github, change(func(r *Request) { r.Header = http.Header{} })},
		"is there 2 times":               {github, change(func(r *Request) { r.Header.Add("X-Hub-Signature-256", "x") })},
		"lacks its prefix": {github, change(func(r *Request) {
			r.Header.Set("X-Hub-Signature-256", strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
		})},
		"in upper case": {stripe, change(func(r *Request) {
			r.Header.Set("Stripe-Signature", strings.ReplaceAll(strings.ToUpper(r.Header.Get("Stripe-Signature")), "T=", "t="))
		})},
		"quotes around it":               {github, change(func(r *Request) { r.Header.Set("X-Hub-Signature-256", `"`+r.Header.Get("X-Hub-Signature-256")+`"`) })},
		"signed the address http://weir": {square, func(_ *Request, c *Config, _ *time.Time) { c.PublicURL = "https://weir.example" }},
		"has expired here": {github, func(_ *Request, c *Config, now *time.Time) {
			c.Secrets["webhook_secret"][0].Until = now.Add(-time.Second)
		}},
		"must read t=<time>,v1=<signature>; here it has t, t, v1": {stripe, change(func(r *Request) {
			r.Header.Set("Stripe-Signature", "t=1,"+r.Header.Get("Stripe-Signature"))
		})},
		`here it has a text without "="`: {stripe, change(func(r *Request) { r.Header.Set("Stripe-Signature", strings.Repeat("a", 64)) })},
		"here it has t, v0": {stripe, change(func(r *Request) {
			r.Header.Set("Stripe-Signature", strings.Replace(r.Header.Get("Stripe-Signature"), "v1=", "v0=", 1))
		})},
		"must read v0=<signature>; here it has another beginning": {slack, change(func(r *Request) {
			r.Header.Set("X-Slack-Signature", "v1="+strings.Repeat("0", 64))
		})},
		"must read v1,… or v1a,<signature>": {catalog.EndpointSpec{Auth: catalog.AuthStandardWebhooks}, change(func(r *Request) {
			r.Header.Set("Webhook-Signature", strings.Replace(r.Header.Get("Webhook-Signature"), "v1,", "v2,", 1))
		})},
		"signed the timestamp 1700000000, and the request says 1700000042": {slack, change(func(r *Request) {
			r.Header.Set("X-Slack-Request-Timestamp", "1700000042")
		})},
		"signed the timestamp 1700000000, and the request says 1699999990": {stripe, change(func(r *Request) {
			r.Header.Set("Stripe-Signature", strings.Replace(r.Header.Get("Stripe-Signature"), "t=1700000000", "t=1699999990", 1))
		})},
		"the sender signs {body}, and the endpoint expects {timestamp}.{body}": {stripe, change(func(r *Request) {
			mac := hmac.New(sha256.New, []byte(textSecret))
			mac.Write(r.Body)
			r.Header.Set("Stripe-Signature", "t=1700000000,v1="+hex.EncodeToString(mac.Sum(nil)))
		})},
		"the request has no Content-Type": {catalog.EndpointSpec{Auth: catalog.AuthTwilio}, change(func(r *Request) {
			r.Header.Del("Content-Type")
			r.URI, r.Body = "/webhooks/a/b", []byte("a=1")
		})},
		"has another prefix than": {github, change(func(r *Request) {
			r.Header.Set("X-Hub-Signature-256", strings.Replace(r.Header.Get("X-Hub-Signature-256"), "sha256", "sha1", 1))
		})},
		"Content-Length says 40 bytes, and the body here has 2": {github, change(func(r *Request) {
			r.Header.Set("Content-Length", "40")
			r.Body = []byte("{}")
		})},
		"the secret here has 30 bytes": {github, func(_ *Request, c *Config, _ *time.Time) { c.Secrets["webhook_secret"] = Plain(oldSecret) }},
		"the credential, which has 30 bytes, is none": {catalog.EndpointSpec{Auth: catalog.AuthBearer}, func(_ *Request, c *Config, _ *time.Time) {
			c.Secrets["webhook_secret"] = Plain("another token of some length")
		}},
		"which is https://elsewhere.example/webhooks/a/b here": {square, func(_ *Request, c *Config, _ *time.Time) {
			c.PublicURL, c.Secrets["webhook_secret"] = "https://elsewhere.example", Plain(oldSecret)
		}},
		"a signature does not tell apart": {github, func(_ *Request, c *Config, _ *time.Time) { c.Secrets["webhook_secret"] = Plain(oldSecret) }},
		"; and the body here has a line": {github, change(func(r *Request) {
			r.Body = append(r.Body, '\n')
			r.Header.Set("X-Hub-Signature-256", r.Header.Get("X-Hub-Signature-256")+" ")
		})},
	} {
		r := Request{URI: "/webhooks/a/b", Header: http.Header{}, Body: append([]byte(nil), raw...)}
		config, now := caseConfig(c.spec, textSecret), clock
		config.PublicURL = "http://weir.example"
		if c.spec.Auth == catalog.AuthBearer {
			config = caseConfig(c.spec, oldSecret)
		}
		if c.spec.Auth == catalog.AuthStandardWebhooks {
			config = caseConfig(c.spec, standardSecret)
		}
		require.NoError(t, SignRequest(c.spec, config, clock, "msg_1", &r))
		e, err := Explain(c.spec, config, now, r)
		require.NoError(t, err)
		require.True(t, e.Verified)
		c.change(&r, &config, &now)
		if strings.Contains(want, "upper") {
			r.Header.Set("Stripe-Signature", strings.ReplaceAll(r.Header.Get("Stripe-Signature"), "V1=", "v1="))
		}
		e, err = Explain(c.spec, config, now, r)
		require.NoError(t, err)
		require.False(t, e.Verified, want)
		require.Contains(t, strings.Join(e.Findings, "\n"), want)
		require.NotContains(t, fmt.Sprint(e), textSecret)
		require.NotContains(t, fmt.Sprint(e), oldSecret)
	}
}

func TestASecretIsAcceptedUntilItsTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]catalog.EndpointSpec{
		"github": {Auth: catalog.AuthGitHub}, "bearer": {Auth: catalog.AuthBearer},
		"jwt":     {Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"HS256"}}},
		"message": {Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{Algorithm: "hmac-sha256"}},
	} {
		value := []any{textSecret, map[string]any{"secret": oldSecret, "until": clock.Add(time.Minute).Format(time.RFC3339)}}
		secrets, err := ReadSecrets(c, func(string) any { return value })
		require.NoError(t, err)
		v, err := Open(c, Config{Secrets: secrets, PublicURL: publicURL})
		require.NoError(t, err)
		r := Request{URI: "/a", Header: http.Header{}, Body: body}
		require.NoError(t, SignRequest(c, caseConfig(c, oldSecret), clock, "", &r))
		require.NoError(t, v.Verify(clock.Add(time.Minute), r), name)
		require.ErrorIs(t, v.Verify(clock.Add(time.Minute+time.Second), r), ErrUnverified, name)
	}
	for _, bad := range []any{1, true, []any{1}, map[string]any{"secret": 1}, map[string]any{"secret": "s", "until": "soon"}, map[string]any{"s3cret": "s"}} {
		_, err := ReadSecrets(catalog.EndpointSpec{Auth: catalog.AuthGitHub}, func(string) any { return bad })
		require.ErrorContains(t, err, `setting "webhook_secret"`, "%v", bad)
		require.NotContains(t, err.Error(), "s3cret")
	}
}

func TestATokenOfAHandshakeIsAcceptedUntilItsTime(t *testing.T) {
	t.Parallel()
	c := caseConfig(catalog.EndpointSpec{Auth: catalog.AuthMeta}, textSecret)
	c.Secrets["webhook_verify_token"] = []Secret{{Value: "old-token", Until: clock}, {Value: "new-token"}}
	v, err := Open(catalog.EndpointSpec{Auth: catalog.AuthMeta}, c)
	require.NoError(t, err)
	ask := func(at time.Time, token string) error {
		r := Request{Method: http.MethodGet, URI: "/w?hub.mode=subscribe&hub.challenge=1&hub.verify_token=" + token, Header: http.Header{}}
		_, handled, err := v.Handshake(t.Context(), at, r, func() error { return v.Verify(at, r) })
		require.True(t, handled)
		return err
	}
	require.NoError(t, ask(clock, "old-token"))
	require.NoError(t, ask(clock, "new-token"))
	requireRefused(t, ask(clock.Add(time.Second), "old-token"))
	require.NoError(t, ask(clock.Add(time.Second), "new-token"))
}

// The vectors of RFC 9421, appendix B.2.5 and B.2.6.
func TestAcceptsTheVectorsOfMessageSignatures(t *testing.T) {
	t.Parallel()
	h := header("Date", "Tue, 20 Apr 2021 02:07:55 GMT", "Content-Type", "application/json", "Content-Length", "18",
		"Content-Digest", "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:")
	r := Request{URI: "/foo?param=Value&Pet=dog", Header: h, Body: []byte(`{"hello": "world"}`)}
	require.NoError(t, checkDigest(r))
	for _, c := range []struct {
		algorithm, secret, input, signature string
	}{
		{
			"hmac-sha256", "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==",
			`("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`, "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
		},
		{
			"ed25519", "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=",
			`("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
		},
	} {
		m := &messageCheck{publicURL: "https://example.com"}
		k, err := newMessageKey(catalog.MessageSignatureSpec{Algorithm: c.algorithm, KeyEncoding: "base64"}, c.secret)
		require.NoError(t, err)
		in, ok := readInput(c.input)
		require.True(t, ok)
		base, err := m.base(r, in)
		require.NoError(t, err)
		signature, ok := readBytes(":" + c.signature + ":")
		require.True(t, ok)
		require.True(t, k.verify(base, signature), c.algorithm)
		require.False(t, k.verify(append(base, ' '), signature))
	}
}

func TestAMessageSignatureCoversWhatItMust(t *testing.T) {
	t.Parallel()
	spec := catalog.EndpointSpec{Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{Algorithm: "hmac-sha256"}}
	v := newVerifier(t, spec, textSecret)
	good := func() Request {
		r := Request{URI: "/webhooks/a/b", Header: header("Content-Type", "application/json"), Body: body}
		require.NoError(t, SignRequest(spec, caseConfig(spec, textSecret), clock, "", &r))
		return r
	}
	require.NoError(t, v.Verify(clock, good()))
	for name, change := range map[string]func(*Request){
		"another body":   func(r *Request) { r.Body = []byte("{}") },
		"another path":   func(r *Request) { r.URI = "/webhooks/a/c" },
		"another method": func(r *Request) { r.Method = http.MethodPut },
		"no digest":      func(r *Request) { r.Header.Del("Content-Digest") },
		"its own digest": func(r *Request) { r.Body = []byte("{}"); r.Header.Set("Content-Digest", contentDigest(r.Body)) },
		"a weak digest":  func(r *Request) { r.Header.Set("Content-Digest", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:") },
		"two signatures": func(r *Request) { r.Header.Add("Signature", r.Header.Get("Signature")) },
		"two labels":     func(r *Request) { r.Header.Set("Signature-Input", r.Header.Get("Signature-Input")+`, b=()`) },
		"an empty cover": func(r *Request) { r.Header.Set("Signature-Input", "sig1=();created=1700000000") },
		"another algorithm": func(r *Request) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), "hmac-sha256", "ed25519", 1))
		},
		"a later time": func(r *Request) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), "created=1", "created=2", 1))
		},
		"a component's flags": func(r *Request) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), `"@path"`, `"@path";req`, 1))
		},
	} {
		r := good()
		change(&r)
		require.ErrorIs(t, v.Verify(clock, r), ErrUnverified, name)
	}
	requireRefused(t, v.Verify(clock.Add(301*time.Second), good()))
}

// messageSigned signs what an input says, with the key of v.
func messageSigned(t *testing.T, v *Verifier, p signatureInput, digest string) Request {
	t.Helper()
	r := Request{URI: "/webhooks/a/b", Header: header("Content-Digest", digest), Body: body}
	base, err := v.messages[0].base(r, p)
	require.NoError(t, err)
	signature, err := v.messages[0].keys[0].sign(base)
	require.NoError(t, err)
	r.Header.Set("Signature-Input", "s="+p.text)
	r.Header.Set("Signature", "s=:"+base64.StdEncoding.EncodeToString(signature)+":")
	return r
}

// The digest is the sender's word on the body: every one that is known must be right.
func TestASignedDigestIsHeldToTheBody(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, catalog.EndpointSpec{Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{Algorithm: "hmac-sha256"}}, textSecret)
	p, ok := readInput(`("content-digest" "@method" "@path");created=1700000000`)
	require.True(t, ok)
	right := contentDigest(body)
	long := sha512.Sum512(body)
	right512 := "sha-512=:" + base64.StdEncoding.EncodeToString(long[:]) + ":"
	wrong, wrong512 := contentDigest([]byte("{}")), "sha-512=:"+base64.StdEncoding.EncodeToString(make([]byte, 64))+":"
	for digest, want := range map[string]bool{
		right: true, right512: true, right + ", " + right512: true, right + ", md5=:AAAA:": true, "unixsum=:AAAA:, " + right512: true,
		wrong: false, wrong512: false, right + ", " + wrong512: false, wrong + ", " + right512: false, "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:": false,
		right + ", " + right: false, right + ",": false, right[:len(right)-1]: false, strings.ToUpper(right): false, "": false, "sha-256=::": false,
	} {
		require.Equal(t, want, v.Verify(clock, messageSigned(t, v, p, digest)) == nil, digest)
	}
}

func TestAParameterThatIsThereTwiceMeansNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`();created=1;created=2`, `();a=1;b=2;a=1`, `("a" "a")`, `()x`, `();`, `();=1`, `();a`, `("A")`, `("a";sf)`, `(a)`} {
		_, ok := readInput(text)
		require.False(t, ok, text)
	}
	for _, text := range []string{`a=1, a=2`, `a=1,b=2, a=1`, `a`, `=1`, `a=1,`, `a="`, `a=(`} {
		_, ok := readDictionary(text)
		require.False(t, ok, text)
	}
}

func TestAMessageSignatureIsAsOldAsItMayBe(t *testing.T) {
	t.Parallel()
	for tolerance, oldest := range map[time.Duration]time.Duration{0: DefaultTolerance, time.Minute: time.Minute, time.Hour: time.Hour} {
		spec := catalog.EndpointSpec{Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{Algorithm: "hmac-sha256", Tolerance: tolerance}}
		v, r := newVerifier(t, spec, textSecret), Request{URI: "/webhooks/a/b", Header: http.Header{}, Body: body}
		require.NoError(t, SignRequest(spec, caseConfig(spec, textSecret), clock, "", &r))
		require.NoError(t, v.Verify(clock.Add(oldest), r))
		requireRefused(t, v.Verify(clock.Add(oldest+time.Second), r))
		require.NoError(t, v.Verify(clock.Add(-DefaultTolerance), r))
		requireRefused(t, v.Verify(clock.Add(-DefaultTolerance-time.Second), r))
	}
}

// What a sender signs of its own will is held to the endpoint's demands too.
func TestAMessageSignatureSaysWhatItMust(t *testing.T) {
	t.Parallel()
	spec := catalog.EndpointSpec{Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{
		Algorithm: "hmac-sha256", KeyID: "k1", Tag: "acme", Components: []string{"@method", "@path"},
	}}
	v := newVerifier(t, spec, textSecret)
	verify := func(input string) error {
		p, ok := readInput(input)
		require.True(t, ok, input)
		return v.Verify(clock, messageSigned(t, v, p, contentDigest(body)))
	}
	const all, rest = `("content-digest" "@method" "@path")`, `;keyid="k1";tag="acme"`
	require.NoError(t, verify(all+";created=1700000000"+rest))
	require.NoError(t, verify(all+`;created=1700000000;expires=1700000000;alg="hmac-sha256"`+rest))
	for _, input := range []string{
		`("@method" "@path");created=1700000000` + rest, `("content-digest" "@path");created=1700000000` + rest, `("content-digest" "@method");created=1700000000` + rest,
		`();created=1700000000` + rest, all + rest, all + ";created=1699999699" + rest, all + ";created=1700000301" + rest, all + ";created=01700000000" + rest,
		all + ";created=1700000000;expires=1699999999" + rest, all + `;created=1700000000;expires="1700000001"` + rest, all + `;created=1700000000;alg="ed25519"` + rest,
		all + `;created=1700000000;tag="acme"`, all + `;created=1700000000;keyid="k1"`, all + `;created=1700000000;keyid="k2";tag="acme"`, all + `;created=1700000000;keyid="k1";tag="other"`,
	} {
		require.ErrorIs(t, verify(input), ErrUnverified, input)
	}
}

// FuzzFields hands anything to the readers of structured fields and to the
// verifiers that use them.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{`sig1=("@method" "@path");created=1;keyid="a\"b"`, `sig1=:AA==:`, `a=1, b=(`, `sha-256=:`, `"`, `a="`, `a=();b="\`} {
		f.Add(seed, seed)
	}
	spec := catalog.EndpointSpec{Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{Algorithm: "hmac-sha256"}}
	v := newVerifier(f, spec, textSecret)
	jwt := newVerifier(f, catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{"HS256"}}}, textSecret)
	sns := newVerifier(f, catalog.EndpointSpec{Auth: catalog.AuthSNS}, topic)
	mailgun := newVerifier(f, catalog.EndpointSpec{Auth: catalog.AuthMailgun}, textSecret)
	twilio := newVerifier(f, catalog.EndpointSpec{Auth: catalog.AuthTwilio}, textSecret)
	f.Fuzz(func(t *testing.T, a, b string) {
		_, _ = readDictionary(a)
		_, _ = readInput(a)
		h := http.Header{
			"Signature-Input": {a}, "Signature": {b}, "Content-Digest": {contentDigest([]byte(b))}, "Authorization": {"Bearer " + a},
			"X-Twilio-Signature": {a}, "Content-Type": {"application/x-www-form-urlencoded"},
		}
		for _, one := range []*Verifier{v, jwt, sns, mailgun, twilio} {
			r := Request{URI: "/a?" + a, Header: h, Body: []byte(b)}
			require.ErrorIs(t, one.Verify(clock, r), ErrUnverified)
			require.NotEmpty(t, one.DeliveryKey(h, r.Body))
			_, _, err := one.Handshake(t.Context(), clock, r, func() error { return one.Verify(clock, r) })
			require.True(t, err == nil || errors.Is(err, ErrUnverified), "%v", err)
		}
		ClientIP(a, []string{a, b}, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")})
	})
}
