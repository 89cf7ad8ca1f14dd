package webhook

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// ErrHandshake says that a handshake was proven but could not be completed now;
// the sender may try again.
var ErrHandshake = errors.New("handshake cannot be completed now")

const (
	plainText = "text/plain; charset=utf-8"
	jsonText  = "application/json"
)

// Reply is the answer to a handshake. It is sent with X-Content-Type-Options:
// nosniff, as parts of it come from the request.
type Reply struct {
	// Status is the status of the answer.
	Status int
	// ContentType of the body; "" for an answer without one.
	ContentType string
	// Header holds further headers, or nil.
	Header http.Header
	// Body is the whole body.
	Body []byte
}

// challenge is one handshake, ready to be answered.
type challenge struct {
	kind     catalog.ChallengeKind
	method   string
	when     []condition
	token    catalog.Source
	verify   catalog.Source
	accepted []Secret
	reply    string
	json     bool
	status   int
	unsigned bool
	// keys make the HMAC of a reply; the first that is live does.
	keys []key
	// fetcher confirms subscriptions.
	fetcher *fetcher
}

type condition struct {
	source catalog.Source
	value  string
	any    bool
}

// signs reports that the answer holds an HMAC of what was sent.
func (c challenge) signs() bool { return strings.Contains(c.reply, "{hmac") }

// knownChallenges are the handshakes that have a name, as an author would
// describe them. Those of SNS and CloudEvents are no templates.
//
//nolint:gosec // places of tokens, no tokens
var knownChallenges = map[catalog.ChallengeKind][]catalog.ChallengeSpec{
	catalog.ChallengeSlack: {{When: []string{"body:type=url_verification"}, Token: "body:challenge"}},
	catalog.ChallengeHub: {{
		Method: http.MethodGet, When: []string{"query:hub.mode=subscribe"}, Token: "query:hub.challenge", VerifyToken: "query:hub.verify_token",
	}},
	catalog.ChallengeZoom: {{
		When: []string{"body:event=endpoint.url_validation"}, Token: "body:payload.plainToken", JSON: true,
		Reply: `{"plainToken":"{token}","encryptedToken":"{hmac_hex}"}`,
	}},
	catalog.ChallengeCRC: {{Method: http.MethodGet, Token: "query:crc_token", JSON: true, Reply: `{"response_token":"sha256={hmac_base64}"}`}},
	catalog.ChallengeDiscord: {
		// An interaction's ping has a token; a webhook event of type 1 has none.
		{When: []string{"body:type=1", "body:token"}, JSON: true, Reply: `{"type":1}`},
		{When: []string{"body:type=0"}, Status: http.StatusNoContent},
	},
	catalog.ChallengeGraph: {{Token: "query:validationToken", Unsigned: true}},
	catalog.ChallengeSNS: {
		{When: []string{"body:Type=SubscriptionConfirmation"}, Kind: catalog.ChallengeSNS},
		// Nothing to do: who wants to go may go.
		{When: []string{"body:Type=UnsubscribeConfirmation"}},
	},
	catalog.ChallengeCloudEvents: {{Kind: catalog.ChallengeCloudEvents, Method: http.MethodOptions}},
}

// echoPattern is what may be echoed without being signed: printable, and
// nothing that means something to a browser or in JSON.
var echoPattern = regexp.MustCompile(`^[ !#-%(-;=?-\[\]-~]{1,1000}$`)

// challenges makes the handshakes of an endpoint.
func (b *builder) challenges(spec catalog.EndpointSpec) {
	for _, declared := range spec.Challenges {
		list, named := knownChallenges[declared.Kind]
		if !named {
			list = []catalog.ChallengeSpec{declared}
		}
		for _, c := range list {
			b.challenge(spec, c, declared.VerifySetting())
		}
	}
}

func (b *builder) challenge(spec catalog.EndpointSpec, c catalog.ChallengeSpec, verifySetting string) {
	made := challenge{
		kind: c.Kind, method: c.Method, reply: c.Reply, json: c.JSON, status: c.Status,
		unsigned: c.Unsigned || c.Method == http.MethodGet || c.Method == http.MethodOptions,
	}
	if made.method == "" {
		made.method = http.MethodPost
	}
	if made.status == 0 {
		made.status = http.StatusOK
	}
	if made.reply == "" && c.Token != "" {
		made.reply = "{token}"
	}
	for _, text := range c.When {
		place, value, compared := strings.Cut(text, "=")
		source, err := catalog.ParseSource(place, "query", "body")
		if err == nil {
			made.when = append(made.when, condition{source, value, !compared})
		}
	}
	made.token, _ = catalog.ParseSource(c.Token, "query", "body")
	if c.VerifyToken != "" {
		made.verify, _ = catalog.ParseSource(c.VerifyToken, "query", "body")
		b.errs = append(b.errs, eachSecret(verifySetting, b.config.Secrets[verifySetting], func(_ string, s Secret) error {
			made.accepted = append(made.accepted, s)
			return nil
		}))
	}
	if made.signs() {
		for _, s := range b.config.Secrets[settingOf(spec)] {
			// What is wrong with a secret is said where deliveries are verified.
			if raw, err := signingSecret(s.Value, spec.Signature.KeyEncoding, spec.Signature.KeyPrefix); err == nil {
				k := hmacKey(raw, "sha256", encodingOf("hex"))
				k.secret, k.until = string(raw), s.Until
				made.keys = append(made.keys, k)
			}
		}
	}
	if c.Kind == catalog.ChallengeSNS {
		made.fetcher = &fetcher{client: b.config.Client}
	}
	b.v.challenges = append(b.v.challenges, made)
}

// Methods lists the methods that the endpoint answers: POST, and those of its
// handshakes.
func (v *Verifier) Methods() []string {
	methods := []string{http.MethodPost}
	if v == nil {
		return methods
	}
	for _, c := range v.challenges {
		if !slices.Contains(methods, c.method) {
			methods = append(methods, c.method)
		}
	}
	return methods
}

// Handshakes reports that a POST may be a handshake; one of another method is
// one or is refused.
func (v *Verifier) Handshakes() bool { return v != nil && len(v.challenges) > 0 }

// Handshake answers r if it is a handshake; handled is false for a delivery.
// verify verifies r; it is called, and must succeed, before anything is answered
// that the sender signs. The error is [ErrUnverified] or [ErrHandshake]. A
// request of another method than POST is a handshake or it is refused.
func (v *Verifier) Handshake(ctx context.Context, now time.Time, r Request, verify func() error) (reply Reply, handled bool, err error) {
	signed := false
	if v != nil {
		for _, c := range v.challenges {
			if c.method != r.method() {
				continue
			}
			if !c.unsigned {
				signed = true
				continue
			}
			if c.matches(r) && v.reachable(r) {
				reply, err = v.answer(ctx, now, c, r)
				return reply, true, err
			}
		}
	}
	if r.method() != http.MethodPost {
		return Reply{}, true, refuse("request is no known handshake")
	}
	if !signed {
		return Reply{}, false, nil
	}
	if err := verify(); err != nil {
		return Reply{}, true, err
	}
	for _, c := range v.challenges {
		if c.method == r.method() && !c.unsigned && c.matches(r) {
			reply, err = v.answer(ctx, now, c, r)
			return reply, true, err
		}
	}
	return Reply{}, false, nil
}

// reachable applies the gate on addresses to handshakes that nobody signs.
func (v *Verifier) reachable(r Request) bool {
	return len(v.allowed) == 0 || contains(v.allowed, r.Remote.Unmap().WithZone(""))
}

func (c challenge) matches(r Request) bool {
	if c.kind == catalog.ChallengeCloudEvents {
		return r.Header.Get("WebHook-Request-Origin") != ""
	}
	for _, w := range c.when {
		if text, ok := r.at(w.source); !ok || !w.any && text != w.value {
			return false
		}
	}
	if len(c.when) == 0 {
		_, ok := r.at(c.token)
		return ok
	}
	return true
}

func (v *Verifier) answer(ctx context.Context, now time.Time, c challenge, r Request) (Reply, error) {
	switch c.kind {
	case catalog.ChallengeSNS:
		return v.confirmSNS(ctx, c.fetcher, r)
	case catalog.ChallengeCloudEvents:
		return allowOrigin(r)
	default: // what the template says
	}
	if c.verify.Kind != "" {
		sent, ok := r.at(c.verify)
		matched := false
		for _, want := range c.accepted {
			if sameText(sent, want.Value) && (key{until: want.Until}).live(now) {
				matched = true
			}
		}
		if !ok || !matched {
			return Reply{}, refuse("token of the handshake differs")
		}
	}
	body := c.reply
	if c.token.Kind != "" {
		token, ok := r.at(c.token)
		pattern := echoPattern
		if c.signs() {
			// Whatever is signed here must never be taken for a delivery.
			pattern = tokenPattern
		}
		if !ok || !pattern.MatchString(token) {
			return Reply{}, refuse("token of the handshake is missing or holds what no token holds")
		}
		values := []string{"{token}", token}
		if c.signs() {
			at := slices.IndexFunc(c.keys, func(k key) bool { return k.live(now) })
			if at < 0 {
				return Reply{}, refuse("every secret has expired")
			}
			hexDigest, _ := c.keys[at].sign([][]byte{[]byte(token)})
			base64Digest, _ := hmacKey([]byte(c.keys[at].secret), "sha256", encodingOf("base64")).sign([][]byte{[]byte(token)})
			values = append(values, "{hmac_hex}", hexDigest, "{hmac_base64}", base64Digest)
		}
		body = strings.NewReplacer(values...).Replace(body)
	}
	reply := Reply{Status: c.status, Body: []byte(body)}
	switch {
	case body == "":
	case c.json:
		reply.ContentType = jsonText
	default:
		reply.ContentType = plainText
	}
	return reply, nil
}

// originPattern is the form of a sender's name in the CloudEvents handshake.
var originPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

// allowOrigin answers the handshake of CloudEvents HTTP webhooks. An address to
// call back is never called: anybody could name any.
func allowOrigin(r Request) (Reply, error) {
	origin, err := single(r.Header, "WebHook-Request-Origin")
	if err != nil {
		return Reply{}, err
	}
	if !originPattern.MatchString(origin) {
		return Reply{}, refuse("origin of the handshake is no name")
	}
	h := http.Header{"Webhook-Allowed-Origin": {origin}, "Allow": {http.MethodPost}}
	if r.Header.Get("WebHook-Request-Rate") != "" {
		h.Set("WebHook-Allowed-Rate", "*")
	}
	return Reply{Status: http.StatusOK, Header: h}, nil
}
