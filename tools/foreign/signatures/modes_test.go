package signatures

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/webhook"
)

// counterparts name, for every mode, the test that holds it against an
// implementation of others, or say why there is nothing to hold it against.
var counterparts = map[catalog.Auth]string{
	catalog.AuthStripe: "TestStripe", catalog.AuthGitHub: "TestGitHub", catalog.AuthSlack: "TestSlack", catalog.AuthShopify: "TestOpenSSLSignsAsTheProvidersSay",
	catalog.AuthTwilio: "TestTwilio", catalog.AuthSquare: "TestSquareOfNPM", catalog.AuthPayPal: "TestPayPalsFormula", catalog.AuthZoom: "TestOpenSSLSignsAsTheProvidersSay",
	catalog.AuthMeta: "TestGitHub", catalog.AuthSNS: "TestAmazonsValidatorAndOursAgree", catalog.AuthLinear: "TestOpenSSLSignsAsTheProvidersSay",
	catalog.AuthIntercom: "TestGitHub", catalog.AuthDiscord: "TestDiscordOfNPM", catalog.AuthX: "TestOpenSSLSignsAsTheProvidersSay",
	catalog.AuthSvix: "TestStandardWebhooksAndSvix", catalog.AuthHookdeck: "TestOpenSSLSignsAsTheProvidersSay", catalog.AuthConvoy: "TestOpenSSLSignsAsTheProvidersSay",
	catalog.AuthBitbucket: "TestGitHub", catalog.AuthMailgun: "TestMailgun", catalog.AuthSendGrid: "TestSendGridOfNPM", catalog.AuthTypeform: "TestOpenSSLSignsAsTheProvidersSay",
	catalog.AuthCalendly: "TestOpenSSLSignsAsTheProvidersSay", catalog.AuthHubSpot: "TestOpenSSLSignsAsTheProvidersSay",
	catalog.AuthStandardWebhooks: "TestStandardWebhooksAndSvix", catalog.AuthHMAC: "TestOpenSSLSignsAsTheProvidersSay", catalog.AuthCustom: "TestOpenSSLSignsAsTheProvidersSay",
	catalog.AuthEd25519: "TestOpenSSLsKeys", catalog.AuthECDSA: "TestOpenSSLsKeys", catalog.AuthRSA: "TestOpenSSLsKeys", catalog.AuthJWT: "TestOpenSSLSignsTokens",
	catalog.AuthMessageSignature: "TestOpenSSLSignsMessages",
	catalog.AuthGitLab:           "sends the secret itself", catalog.AuthBearer: "sends the secret itself", catalog.AuthBasic: "sends the secret itself",
	catalog.AuthAPIKey: "sends the secret itself", catalog.AuthMTLS: "proven by TLS", catalog.AuthNone: "proves nothing", catalog.AuthAllOf: "made of the others",
}

func TestEveryModeHasItsCounterpart(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	tests := map[string]bool{}
	for _, name := range files {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, content, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				tests[f.Name.Name] = true
			}
		}
	}
	for _, auth := range catalog.Auths() {
		what := counterparts[auth]
		require.NotEmpty(t, what, "nothing of others is held against %q", auth)
		if strings.HasPrefix(what, "Test") {
			require.True(t, tests[what], "%q: there is no %s", auth, what)
		}
	}
}

// keyOf makes a key pair with OpenSSL and returns the files of its halves.
func keyOf(t *testing.T, args ...string) (private, public string) {
	t.Helper()
	dir := t.TempDir()
	private, public = filepath.Join(dir, "private.pem"), filepath.Join(dir, "public.pem")
	openssl(t, "", append(append([]string{"genpkey"}, args...), "-out", private)...)
	openssl(t, "", "pkey", "-in", private, "-pubout", "-out", public)
	return private, public
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.TrimSpace(string(b))
}

func fileOf(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "content")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// signers sign and verify with OpenSSL, by the algorithms of both standards.
type signer struct {
	token, message string
	generate       []string
	sign, verify   func(t *testing.T, private, public string, text, signature []byte) []byte
}

func signers() []signer {
	pss := []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}
	digest := func(hash string, options ...string) (sign, verify func(*testing.T, string, string, []byte, []byte) []byte) {
		sign = func(t *testing.T, private, _ string, text, _ []byte) []byte {
			return openssl(t, string(text), append(append([]string{"dgst", "-" + hash}, options...), "-sign", private)...)
		}
		verify = func(t *testing.T, _, public string, text, signature []byte) []byte {
			return openssl(t, string(text), append(append([]string{"dgst", "-" + hash}, options...), "-verify", public, "-signature", fileOf(t, signature))...)
		}
		return sign, verify
	}
	rsa := []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}
	var all []signer
	add := func(tokens, messages string, generate []string, sign, verify func(*testing.T, string, string, []byte, []byte) []byte) {
		all = append(all, signer{tokens, messages, generate, sign, verify})
	}
	sign, verify := digest("sha256")
	add("RS256", "rsa-v1_5-sha256", rsa, sign, verify)
	sign, verify = digest("sha512", pss...)
	add("PS512", "rsa-pss-sha512", rsa, sign, verify)
	add("EdDSA", "ed25519", []string{"-algorithm", "ed25519"},
		func(t *testing.T, private, _ string, text, _ []byte) []byte {
			return openssl(t, "", "pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", fileOf(t, text))
		},
		func(t *testing.T, _, public string, text, signature []byte) []byte {
			return openssl(t, "", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-sigfile", fileOf(t, signature), "-in", fileOf(t, text))
		})
	add("HS256", "hmac-sha256", nil, func(t *testing.T, _, _ string, text, _ []byte) []byte { return opensslHMAC(t, "sha256", string(text)) },
		func(t *testing.T, _, _ string, text, signature []byte) []byte {
			require.Equal(t, opensslHMAC(t, "sha256", string(text)), signature)
			return nil
		})
	return all
}

// keys are the secrets of the side that signs and of the one that verifies.
func (s signer) keys(t *testing.T) (private, public string, signs, verifies webhook.Config) {
	t.Helper()
	config := func(value string) webhook.Config {
		return webhook.Config{PublicURL: "https://weir.example", Secrets: map[string][]webhook.Secret{"webhook_secret": webhook.Plain(value)}}
	}
	if s.generate == nil {
		return "", "", config(secret), config(secret)
	}
	private, public = keyOf(t, s.generate...)
	return private, public, config(contentOf(t, private)), config(contentOf(t, public))
}

func TestOpenSSLSignsTokens(t *testing.T) {
	t.Parallel()
	b64 := base64.RawURLEncoding
	for _, s := range signers() {
		t.Run(s.token, func(t *testing.T) {
			t.Parallel()
			spec := catalog.EndpointSpec{Auth: catalog.AuthJWT, JWT: catalog.JWTSpec{Algorithms: []string{s.token}, Issuer: "acme"}}
			private, public, signs, verifies := s.keys(t)
			v, err := webhook.Open(spec, verifies)
			require.NoError(t, err)
			head := b64.EncodeToString(fmt.Appendf(nil, `{"typ":"JWT","alg":%q}`, s.token))
			claims := b64.EncodeToString(fmt.Appendf(nil, `{"iss":"acme","exp":%d,"sub":"é"}`, time.Now().Add(time.Minute).Unix()))
			text := head + "." + claims
			signature := s.sign(t, private, public, []byte(text), nil)
			r := webhook.Request{Body: payload, Header: http.Header{"Authorization": {"Bearer " + text + "." + b64.EncodeToString(signature)}}}
			require.NoError(t, v.Verify(time.Now(), r), webhook.ReasonOf(v.Verify(time.Now(), r)))
			other := b64.EncodeToString(fmt.Appendf(nil, `{"iss":"acme","exp":%d,"sub":"e"}`, time.Now().Add(time.Minute).Unix()))
			r.Header.Set("Authorization", "Bearer "+head+"."+other+"."+b64.EncodeToString(signature))
			require.ErrorIs(t, v.Verify(time.Now(), r), webhook.ErrUnverified)

			ours := webhook.Request{Header: http.Header{}, Body: payload}
			require.NoError(t, webhook.SignRequest(spec, signs, time.Now(), "", &ours))
			token := strings.TrimPrefix(ours.Header.Get("Authorization"), "Bearer ")
			last := strings.LastIndexByte(token, '.')
			signature, err = b64.DecodeString(token[last+1:])
			require.NoError(t, err)
			s.verify(t, private, public, []byte(token[:last]), signature)
		})
	}
}

// The text that is signed is written here as RFC 9421 has it, without our code.
func TestOpenSSLSignsMessages(t *testing.T) {
	t.Parallel()
	for _, s := range signers() {
		t.Run(s.message, func(t *testing.T) {
			t.Parallel()
			spec := catalog.EndpointSpec{Auth: catalog.AuthMessageSignature, MessageSignature: catalog.MessageSignatureSpec{
				Algorithm: s.message, Components: []string{"@method", "@target-uri", "content-type"},
			}}
			private, public, signs, verifies := s.keys(t)
			v, err := webhook.Open(spec, verifies)
			require.NoError(t, err)
			base := func(digest, parameters string) []byte {
				return []byte(`"content-digest": ` + digest + "\n" + `"@method": POST` + "\n" + `"@target-uri": https://weir.example` + uri + "\n" +
					`"content-type": application/json` + "\n" + `"@signature-params": ` + parameters)
			}
			header := http.Header{"Content-Type": {"application/json"}}
			theirs := webhook.Request{URI: uri, Header: header.Clone(), Body: payload}
			digest := "sha-256=:" + base64.StdEncoding.EncodeToString(openssl(t, string(payload), "dgst", "-sha256", "-binary")) + ":"
			parameters := fmt.Sprintf(`("content-digest" "@method" "@target-uri" "content-type");created=%d`, time.Now().Unix())
			theirs.Header.Set("Content-Digest", digest)
			theirs.Header.Set("Signature-Input", "sender="+parameters)
			signature := s.sign(t, private, public, base(digest, parameters), nil)
			theirs.Header.Set("Signature", "sender=:"+base64.StdEncoding.EncodeToString(signature)+":")
			require.NoError(t, v.Verify(time.Now(), theirs), webhook.ReasonOf(v.Verify(time.Now(), theirs)))
			theirs.Body = append(bytes.Clone(payload), ' ')
			require.ErrorIs(t, v.Verify(time.Now(), theirs), webhook.ErrUnverified)

			ours := webhook.Request{URI: uri, Header: header.Clone(), Body: payload}
			require.NoError(t, webhook.SignRequest(spec, signs, time.Now(), "", &ours))
			_, parameters, _ = strings.Cut(ours.Header.Get("Signature-Input"), "=")
			_, encoded, _ := strings.Cut(ours.Header.Get("Signature"), "=")
			signature, err = base64.StdEncoding.DecodeString(strings.Trim(encoded, ":"))
			require.NoError(t, err)
			s.verify(t, private, public, base(ours.Header.Get("Content-Digest"), parameters), signature)
		})
	}
}

// What X and Zoom are answered is the HMAC that OpenSSL makes of their token.
func TestOpenSSLAnswersTheChallengesOfXAndZoom(t *testing.T) {
	t.Parallel()
	const challenge = "qgg8vlvZRS6UYooatFL8Aw"
	digest := opensslHMAC(t, "sha256", challenge)
	for auth, c := range map[catalog.Auth]struct {
		request webhook.Request
		want    string
	}{
		catalog.AuthX: {
			webhook.Request{Method: http.MethodGet, URI: uri + "?crc_token=" + challenge, Header: http.Header{}},
			`{"response_token":"sha256=` + base64.StdEncoding.EncodeToString(digest) + `"}`,
		},
		catalog.AuthZoom: {
			webhook.Request{Method: http.MethodPost, URI: uri, Header: http.Header{}, Body: []byte(`{"event":"endpoint.url_validation","payload":{"plainToken":"` + challenge + `"}}`)},
			`{"plainToken":"` + challenge + `","encryptedToken":"` + hex.EncodeToString(digest) + `"}`,
		},
	} {
		v, err := webhook.Open(catalog.EndpointSpec{Auth: auth}, settings(auth, secret))
		require.NoError(t, err)
		r := c.request
		if r.Method == http.MethodPost {
			require.NoError(t, webhook.SignRequest(catalog.EndpointSpec{Auth: auth}, settings(auth, secret), time.Now(), "", &r))
		}
		reply, handled, err := v.Handshake(t.Context(), time.Now(), r, func() error { return v.Verify(time.Now(), r) })
		require.NoError(t, err)
		require.True(t, handled)
		require.JSONEq(t, c.want, string(reply.Body), auth)
	}
}
