package webhook

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/weirhq/weir/catalog"
)

const (
	// DefaultMaxBody is the largest body of an endpoint that says nothing else.
	DefaultMaxBody = 1 << 20
	// MaxMaxBody bounds what an endpoint may ask for: the bodies in flight of
	// one connection are bounded too, and several must fit.
	MaxMaxBody = 32 << 20
	// DefaultDeadline is the handler's time where no provider's limit is known.
	DefaultDeadline = 10 * time.Second
	// MaxDeadline bounds what an endpoint may ask for.
	MaxDeadline = time.Minute
	// DefaultTolerance is how far a signed timestamp may lie from the present,
	// in either direction, inclusive.
	DefaultTolerance = 5 * time.Minute
	// MinSigningSecret is the shortest secret, in bytes, that may sign.
	MinSigningSecret = 16
)

// preset is what is known of one provider or standard.
type preset struct {
	scheme scheme
	// deliveryKey lists where the sender's id of a delivery is, first present wins.
	deliveryKey []string
	// maxBody is the provider's own limit, or 0 for the default.
	maxBody int64
	// deadline is the provider's limit less half a second, or 0 for the default.
	deadline time.Duration
}

// presets is the one table of schemes that have a name of their own.
var presets = map[catalog.Auth]preset{
	// https://www.standardwebhooks.com: symmetric signatures (v1). Svix sends
	// the same with headers of its own name.
	catalog.AuthStandardWebhooks: {
		scheme: scheme{
			sets: []headerSet{
				{signature: "Webhook-Signature", timestamp: "Webhook-Timestamp", id: "Webhook-Id"},
				{signature: "Svix-Signature", timestamp: "Svix-Timestamp", id: "Svix-Id"},
			},
			form: formWords, version: "v1",
			signed: []segment{{kind: segmentID}, {text: "."}, {kind: segmentTimestamp}, {text: "."}, {kind: segmentBody}},
			hash:   sha256.New, encode: base64.StdEncoding.EncodeToString, key: base64Key, tolerance: DefaultTolerance,
		},
		deliveryKey: []string{"header:Webhook-Id", "header:Svix-Id"},
	},
	// https://docs.stripe.com/webhooks/signature. The delivery's id is that of
	// the event in the body, which is signed.
	catalog.AuthStripe: {
		scheme: scheme{
			sets: []headerSet{{signature: "Stripe-Signature"}},
			form: formPairs, version: "v1", timeKey: "t",
			signed: []segment{{kind: segmentTimestamp}, {text: "."}, {kind: segmentBody}},
			hash:   sha256.New, encode: hex.EncodeToString, key: prefixedKey, tolerance: DefaultTolerance,
		},
		deliveryKey: []string{"body:id"},
	},
	// https://docs.github.com/webhooks: no timestamp, payloads of at most 25 MB,
	// an answer within 10 s, and no redelivery by itself.
	catalog.AuthGitHub: {
		scheme: scheme{
			sets: []headerSet{{signature: "X-Hub-Signature-256"}},
			form: formWhole, prefix: "sha256=",
			signed: []segment{{kind: segmentBody}},
			hash:   sha256.New, encode: hex.EncodeToString, key: textKey,
		},
		deliveryKey: []string{"header:X-GitHub-Delivery"},
		maxBody:     25 << 20,
		deadline:    9500 * time.Millisecond,
	},
}
