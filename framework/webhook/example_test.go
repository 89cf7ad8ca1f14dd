package webhook_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/webhook"
)

func Example() {
	spec := catalog.EndpointSpec{
		Auth: catalog.AuthHMAC,
		Signature: catalog.SignatureSpec{
			Header: "X-Acme-Signature", Prefix: "v0=",
			Signed: "v0:{timestamp}:{body}", Timestamp: "header:X-Acme-Request-Timestamp",
		},
		DeliveryKey: []string{"header:X-Acme-Request-Id", "body:event_id"},
	}
	verifier, err := webhook.New(spec, []string{"the secret in use since today", "the secret that was used before"})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(1_700_000_000, 0)
	body := []byte(`{"event_id":"evt_1"}`)
	header, err := webhook.Sign(spec, "the secret that was used before", now, "request-1", body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verifier.Verify(now, webhook.Request{Header: header, Body: body}))
	fmt.Println(webhook.DeliveryID(verifier.DeliveryKey(header, body)))

	late := verifier.Verify(now.Add(10*time.Minute), webhook.Request{Header: header, Body: body})
	fmt.Println(late, "/", webhook.ReasonOf(late))
	// Output:
	// <nil>
	// request-1
	// delivery is not verified / timestamp is too old
}

func ExampleNew_refused() {
	_, err := webhook.New(catalog.EndpointSpec{Auth: catalog.AuthGitHub}, []string{"too short"})
	fmt.Println(err)
	// Output:
	// verify with auth "github": setting "webhook_secret" has 9 bytes; a signing secret needs at least 16, so make a longer one and set it at the sender too
}

func ExampleVerifier_PublicHeader() {
	verifier, err := webhook.New(catalog.EndpointSpec{Auth: catalog.AuthGitHub}, []string{"a secret of sufficient length"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verifier.PublicHeader(http.Header{
		"X-Github-Event": {"push"}, "X-Hub-Signature-256": {"sha256=…"}, "Cookie": {"session=…"}, "X-Forwarded-For": {"127.0.0.1"},
	}))
	// Output:
	// map[X-Github-Event:[push]]
}
