package http_test

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	connector "github.com/weirhq/weir/connectors/http"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/sqlite"
	"github.com/weirhq/weir/framework/webhook"
	"github.com/weirhq/weir/ingest"
)

const (
	publicURL = "https://weir.example.com"
	topicARN  = "arn:aws:sns:eu-west-1:123456789012:orders"
	certURL   = "https://api.paypal.com/v1/notifications/certs/CERT-1"
)

// senderKeys are the keys of senders, and what a receiver has of them.
type senderKeys struct {
	public, private map[string]string // by the variables of the page
	rsa             *rsa.PrivateKey
	rsaPEM          []byte
	client          tls.Certificate
}

var keysOfSenders = sync.OnceValue(func() senderKeys {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	k := senderKeys{public: map[string]string{}, private: map[string]string{}}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pair := func(public, private any) (spki []byte, publicPEM, privatePEM string) {
		spki, err := x509.MarshalPKIXPublicKey(public)
		must(err)
		der, err := x509.MarshalPKCS8PrivateKey(private)
		must(err)
		return spki, block("PUBLIC KEY", spki), block("PRIVATE KEY", der)
	}
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	_, k.public["ACME_ED25519_PUBLIC_KEY"], k.private["ACME_ED25519_PUBLIC_KEY"] = pair(edPublic, edPrivate)
	k.public["DISCORD_PUBLIC_KEY"], k.private["DISCORD_PUBLIC_KEY"] = hex.EncodeToString(edPublic), k.private["ACME_ED25519_PUBLIC_KEY"]
	k.public["STANDARD_WEBHOOKS_PUBLIC_KEY"] = "whpk_" + base64.StdEncoding.EncodeToString(edPublic)
	k.private["STANDARD_WEBHOOKS_PUBLIC_KEY"] = "whsk_" + base64.StdEncoding.EncodeToString(edPrivate)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	spki, publicPEM, privatePEM := pair(&ec.PublicKey, ec)
	k.public["ACME_ECDSA_PUBLIC_KEY"], k.private["ACME_ECDSA_PUBLIC_KEY"] = publicPEM, privatePEM
	k.public["SENDGRID_VERIFICATION_KEY"], k.private["SENDGRID_VERIFICATION_KEY"] = base64.StdEncoding.EncodeToString(spki), privatePEM
	for _, name := range []string{"STANDARD_WEBHOOKS_SECRET", "SVIX_SECRET"} {
		k.public[name] = hookSecret
	}
	k.public["SNS_TOPIC_ARN"], k.public["ACME_USER_AND_PASSWORD"] = topicARN, "acme:a password of some length"

	certificate := func(name string, parent *x509.Certificate, signer crypto.Signer, own crypto.Signer) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature,
		}
		if parent == nil {
			template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, own.Public(), signer)
		must(err)
		made, err := x509.ParseCertificate(der)
		must(err)
		return made
	}
	authority := certificate("authority", nil, ec, ec)
	k.public["ACME_CA"] = block("CERTIFICATE", authority.Raw)
	k.client = tls.Certificate{Certificate: [][]byte{certificate("hooks.acme.example", authority, ec, edPrivate).Raw}, PrivateKey: edPrivate}
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.rsaPEM = []byte(block("CERTIFICATE", certificate("signer", nil, k.rsa, k.rsa).Raw))
	return k
})

// value is what stands for a variable of the page.
func value(name string, private bool) string {
	k := keysOfSenders()
	if private && k.private[name] != "" {
		return k.private[name]
	}
	return cmp.Or(k.public[name], "secret of "+strings.ToLower(name))
}

// pieces are the examples of the page by name, as they are loaded.
func pieces(t *testing.T, private bool) map[string]config.Connection {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "presets.md"))
	require.NoError(t, err)
	out := map[string]config.Connection{}
	for _, m := range regexp.MustCompile("<!-- receives: (\\w+) -->\n```yaml\n((?s:.*?))```").FindAllStringSubmatch(string(content), -1) {
		file, err := config.Parse("weir.yaml", []byte(m[2]), func(name string) (string, bool) { return value(name, private), true }, []framework.Plugin{connector.Plugin})
		require.NoError(t, err, m[1])
		require.Empty(t, file.Warnings, m[1])
		require.Len(t, file.Connections, 1)
		require.NotContains(t, out, m[1])
		out[m[1]] = file.Connections[0]
	}
	require.Len(t, out, strings.Count(string(content), "```yaml"), "a piece has no name, or two have one")
	return out
}

// front receives for every piece of the page, over TLS and with a real store.
type front struct {
	t       *testing.T
	url     string
	store   *sqlite.Store
	ids     map[string]string
	signing map[string]config.Connection
	specs   map[string]catalog.EndpointSpec
	plain   *http.Client
	proven  *http.Client // has a client certificate

	mu      sync.Mutex
	fetched []string
}

// RoundTrip answers for the hosts of certificates and confirmations.
func (f *front) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetched = append(f.fetched, r.URL.String())
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(keysOfSenders().rsaPEM)), Header: http.Header{}, Request: r}, nil
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{t: t, ids: map[string]string{}, signing: pieces(t, true), specs: map[string]catalog.EndpointSpec{}}
	var err error
	f.store, err = sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	var targets []intake.Target
	for name, c := range pieces(t, false) {
		declared, err := connector.Plugin.Declare(c.Settings)
		require.NoError(t, err, name)
		recorded, err := f.store.EnsureConnection(t.Context(), store.Connection{Project: "default", Name: c.Name, Connector: "http", Type: "source", Enabled: true})
		require.NoError(t, err)
		f.ids[name], f.specs[name] = recorded.ID, declared.Endpoints[0].Spec()
		secrets := f.config(name, c)
		secrets.Client = func([]string) *http.Client { return &http.Client{Transport: f} }
		verifier, err := webhook.Open(f.specs[name], secrets)
		require.NoError(t, err, name)
		binding, err := connector.Plugin.Open(t.Context(), framework.OpenRequest{Connection: c.Name, ConnectionID: recorded.ID, Settings: c.Settings})
		require.NoError(t, err, name)
		target := intake.Target{
			Project: "default", Connection: c.Name, ConnectionID: recorded.ID, Endpoint: "in", Verifier: verifier, Binding: binding,
		}
		for _, s := range declared.Streams {
			target.WebhookStreams = append(target.WebhookStreams, s.Key())
		}
		targets = append(targets, target)
	}
	table := &intake.Table{}
	table.Replace(targets)
	h, err := intake.New(intake.Config{Targets: table, Store: f.store, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, h.Close())
		require.NoError(t, f.store.Close())
	})
	f.url, f.plain = server.URL, server.Client()
	own := server.Client().Transport.(*http.Transport).Clone() //nolint:errcheck // httptest's own
	own.TLSClientConfig.Certificates = []tls.Certificate{keysOfSenders().client}
	f.proven = &http.Client{Transport: own}
	t.Cleanup(own.CloseIdleConnections)
	return f
}

func (f *front) config(name string, c config.Connection) webhook.Config {
	f.t.Helper()
	secrets, err := webhook.ReadSecrets(f.specs[name], func(setting string) any { return framework.SettingAt(c.Settings, setting) })
	require.NoError(f.t, err)
	return webhook.Config{Secrets: secrets, PublicURL: publicURL}
}

// uri is the target of requests for a piece.
func (f *front) uri(name string) string { return "/webhooks/" + f.signing[name].Name + "/in" }

// sign signs as the sender does.
func (f *front) sign(name string, r *webhook.Request) {
	f.t.Helper()
	require.NoError(f.t, webhook.SignRequest(f.specs[name], f.config(name, f.signing[name]), time.Now(), "msg_1", r), name)
}

func (f *front) send(client *http.Client, method string, r webhook.Request) (int, string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.url+r.URI, bytes.NewReader(r.Body))
	require.NoError(f.t, err)
	request.Header = r.Header
	response, err := client.Do(request)
	require.NoError(f.t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	return response.StatusCode, string(answer)
}

func (f *front) events(name, stream string) []ingest.Event {
	f.t.Helper()
	events, err := f.store.Events(f.t.Context(), f.ids[name], stream, 0, 100)
	require.NoError(f.t, err)
	return events
}

// rsaSigned signs a text as PayPal, Amazon and others do.
func rsaSigned(text string) string {
	digest := crypto.SHA256.New()
	_, _ = io.WriteString(digest, text)
	signature, err := rsa.SignPKCS1v15(nil, keysOfSenders().rsa, crypto.SHA256, digest.Sum(nil))
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func snsMessage(kind, message string) []byte {
	stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	m := map[string]string{
		"Type": kind, "MessageId": "m1", "TopicArn": topicARN, "Message": message, "Timestamp": stamp, "SignatureVersion": "2",
		"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/cert.pem",
	}
	text := fmt.Sprintf("Message\n%s\nMessageId\nm1\n", message)
	if kind != "Notification" {
		m["Token"], m["SubscribeURL"] = "t1", "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t1"
		text += "SubscribeURL\n" + m["SubscribeURL"] + "\n"
	}
	text += "Timestamp\n" + stamp + "\n"
	if kind != "Notification" {
		text += "Token\nt1\n"
	}
	m["Signature"] = rsaSigned(text + "TopicArn\n" + topicARN + "\nType\n" + kind + "\n")
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// sender is what a piece of the page receives.
type sender struct {
	body   string
	stream string
	// header is what the sender adds beside its signature.
	header map[string]string
	// sign signs what cannot be signed with the settings.
	sign func(r *webhook.Request)
	// loose senders prove who they are and not what they say.
	loose bool
	// other is a delivery of another kind, for the stream events.
	other string
}

var senders = map[string]sender{
	"stripe":                  {body: `{"id":"evt_1","type":"invoice.paid","data":{"object":{"id":"marker"}}}`, stream: "invoices", other: `{"id":"evt_2","type":"charge.failed","data":{"object":{"id":"ch_1"}}}`},
	"github":                  {body: `{"action":"opened","issue":{"id":1,"title":"marker","updated_at":"2026-03-01T12:00:00Z"}}`, stream: "issues", header: map[string]string{"X-GitHub-Event": "issues"}},
	"slack":                   {body: `{"type":"event_callback","event_id":"Ev1","event":{"type":"message","text":"marker"}}`, stream: "messages", other: `{"type":"event_callback","event_id":"Ev2","event":{"type":"reaction_added"}}`},
	"shopify":                 {body: `{"id":1,"name":"marker","updated_at":"2026-03-01T12:00:00Z"}`, stream: "orders", header: map[string]string{"X-Shopify-Topic": "orders/create"}},
	"twilio":                  {body: `MessageSid=SM1&Body=marker&From=%2B1555`, stream: "messages", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
	"square":                  {body: `{"event_id":"e1","type":"payment.updated","data":{"id":"marker"}}`, stream: "payments"},
	"zoom":                    {body: `{"event":"meeting.ended","payload":{"object":{"uuid":"marker"}}}`, stream: "meetings"},
	"meta":                    {body: `{"object":"page","entry":[{"id":"marker","time":1}]}`, stream: "pages"},
	"linear":                  {body: `{"type":"Issue","action":"update","data":{"id":"marker","updatedAt":"2026-03-01T12:00:00Z"}}`, stream: "issues"},
	"intercom":                {body: `{"id":"notif_1","topic":"conversation.user.created","data":{"item":{"id":"marker"}}}`, stream: "conversations"},
	"discord":                 {body: `{"type":1,"event":{"type":"APPLICATION_AUTHORIZED","data":{"user":{"id":"marker"}}}}`, stream: "authorizations"},
	"x":                       {body: `{"for_user_id":"1","tweet_create_events":[{"id_str":"marker"}]}`, stream: "posts"},
	"svix":                    {body: `{"type":"user.created","data":{"id":"marker"}}`, stream: "users"},
	"hookdeck":                {body: `{"id":"marker","updated_at":"2026-03-01T12:00:00Z"}`, stream: "orders"},
	"convoy":                  {body: `{"event":"order.paid","data":{"id":"marker"}}`, stream: "orders"},
	"gitlab":                  {body: `{"object_kind":"issue","object_attributes":{"id":1,"title":"marker","updated_at":"2026-03-01 12:00:00 UTC"}}`, stream: "issues", header: map[string]string{"X-Gitlab-Event": "Issue Hook"}, loose: true},
	"bitbucket":               {body: `{"pullrequest":{"id":1,"title":"marker","updated_on":"2026-03-01T12:00:00Z"}}`, stream: "pull_requests", header: map[string]string{"X-Event-Key": "pullrequest:created"}},
	"mailgun":                 {body: `{"event-data":{"id":"marker","event":"delivered"}}`, stream: "messages", loose: true},
	"sendgrid":                {body: `[{"event":"delivered","sg_event_id":"marker"},{"event":"bounce","sg_event_id":"b1"}]`, stream: "deliveries"},
	"typeform":                {body: `{"event_id":"e1","form_response":{"token":"marker"}}`, stream: "responses"},
	"calendly":                {body: `{"event":"invitee.created","payload":{"uri":"marker"}}`, stream: "invitees"},
	"hubspot":                 {body: `[{"eventId":1,"subscriptionType":"contact.creation","objectId":"marker"}]`, stream: "contacts"},
	"hmac":                    {body: `{"id":"e1","type":"customer.updated","data":{"id":"marker"}}`, stream: "customers", other: `{"id":"e2","type":"ping","data":{"id":"p"}}`},
	"ed25519":                 {body: `{"id":"marker"}`, stream: "events"},
	"ecdsa":                   {body: `{"id":"marker"}`, stream: "events"},
	"bearer":                  {body: `{"id":"marker"}`, stream: "events", loose: true},
	"basic":                   {body: `{"id":"marker"}`, stream: "events", loose: true},
	"api_key":                 {body: `{"id":"marker"}`, stream: "events", loose: true},
	"jwt":                     {body: `{"id":"marker"}`, stream: "events"},
	"mtls":                    {body: `{"id":"marker"}`, stream: "events", loose: true},
	"all_of":                  {body: `{"id":"marker"}`, stream: "events"},
	"allowed_ips":             {body: `{"id":"marker"}`, stream: "events", header: map[string]string{"X-Forwarded-For": "203.0.113.7"}, loose: true},
	"none":                    {body: `{"id":"marker"}`, stream: "events", loose: true},
	"graph":                   {body: `{"value":[{"subscriptionId":"marker"}]}`, stream: "notifications", loose: true},
	"cloudevents":             {body: `{"specversion":"1.0","type":"com.acme.order","id":"marker"}`, stream: "orders", loose: true},
	"http_message_signatures": {body: `{"id":"marker"}`, stream: "customers", header: map[string]string{"X-Acme-Type": "customer"}},
	"standard_webhooks":       {body: `{"type":"contact.created","data":{"id":"marker"}}`, stream: "contacts"},
	"standard_webhooks_v1a":   {body: `{"type":"contact.created","data":{"id":"marker"}}`, stream: "contacts"},
	"rsa": {body: `{"id":"marker"}`, stream: "events", sign: func(r *webhook.Request) {
		r.Header.Set("X-Acme-Cert", "https://certs.acme.example/c.pem")
		r.Header.Set("X-Acme-Signature", rsaSigned(string(r.Body)))
	}},
	"paypal": {body: `{"id":"WH-1","event_type":"PAYMENT.SALE.COMPLETED","resource":{"id":"marker"}}`, stream: "sales", sign: func(r *webhook.Request) {
		stamp := time.Now().UTC().Format(time.RFC3339)
		for name, text := range map[string]string{
			"Paypal-Transmission-Id": "t1", "Paypal-Transmission-Time": stamp, "Paypal-Cert-Url": certURL, "Paypal-Auth-Algo": "SHA256withRSA",
			"Paypal-Transmission-Sig": rsaSigned(fmt.Sprintf("t1|%s|%s|%d", stamp, value("PAYPAL_WEBHOOK_ID", false), crc32.ChecksumIEEE(r.Body))),
		} {
			r.Header.Set(name, text)
		}
	}},
	"aws_sns": {body: `-`, stream: "messages", sign: func(r *webhook.Request) { r.Body = snsMessage("Notification", "marker") }},
}

func TestEveryPieceOfThePageReceives(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	for name := range f.ids {
		require.Contains(t, senders, name, "nothing is sent to this piece of the page")
	}
	covered := map[catalog.Auth]bool{catalog.AuthCustom: true} // which needs a handler's code
	for name, s := range senders {
		spec, ok := f.specs[name]
		require.True(t, ok, "the page has no piece %s", name)
		covered[spec.Auth] = true
		client := f.plain
		if name == "mtls" {
			client = f.proven
		}
		request := func(body string) webhook.Request {
			r := webhook.Request{Method: http.MethodPost, URI: f.uri(name), Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
			for h, text := range s.header {
				r.Header.Set(h, text)
			}
			return r
		}
		r := request(s.body)
		if name != "none" {
			status, answer := f.send(f.plain, http.MethodPost, r)
			require.Equal(t, http.StatusUnauthorized, status, "%s without proof: %s", name, answer)
		}
		if s.sign != nil {
			s.sign(&r)
		} else {
			f.sign(name, &r)
		}
		if !s.loose {
			changed := r
			changed.Body = bytes.Replace(r.Body, []byte("marker"), []byte("Marker"), 1)
			require.NotEqual(t, r.Body, changed.Body, name)
			status, answer := f.send(client, http.MethodPost, changed)
			require.Equal(t, http.StatusUnauthorized, status, "%s changed: %s", name, answer)
		}
		status, answer := f.send(client, http.MethodPost, r)
		require.Equal(t, http.StatusOK, status, "%s: %s", name, answer)
		require.Contains(t, answer, `"accepted"`, name)
		events := f.events(name, s.stream)
		require.Len(t, events, 1, name)
		require.Contains(t, string(events[0].Payload), "marker", name)
		_, answer = f.send(client, http.MethodPost, r)
		require.Contains(t, answer, `{"status":"duplicate","first":"`, name)
		require.Len(t, f.events(name, s.stream), 1, name)
		if s.other != "" {
			r := request(s.other)
			r.Header.Set("X-Acme-Id", "another")
			f.sign(name, &r)
			status, answer := f.send(client, http.MethodPost, r)
			require.Equal(t, http.StatusOK, status, "%s: %s", name, answer)
			require.Len(t, f.events(name, "events"), 1, name)
		}
	}
	require.Len(t, f.events("sendgrid", "bounces"), 1, "a list is routed entry by entry")
	for _, auth := range catalog.Auths() {
		require.True(t, covered[auth], "the page has no piece for %s", auth)
	}
}

func TestEveryHandshakeOfThePageIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	const token = "qgg8vlvZRS6UYooatFL8Aw"
	post := func(body string) webhook.Request {
		return webhook.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
	}
	bare := func(header http.Header) webhook.Request { return webhook.Request{Header: header} }
	for _, c := range []struct {
		piece, method, query string
		request              webhook.Request
		signed               bool
		status               int
		want                 string
	}{
		{"slack", http.MethodPost, "", post(`{"type":"url_verification","challenge":"` + token + `"}`), true, 200, token},
		{"meta", http.MethodGet, "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=secret+of+meta_verify_token", bare(nil), false, 200, "1158201444"},
		{"meta", http.MethodGet, "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=wrong", bare(nil), false, 401, ""},
		{"zoom", http.MethodPost, "", post(`{"event":"endpoint.url_validation","payload":{"plainToken":"` + token + `"}}`), true, 200, `{"plainToken":"` + token + `","encryptedToken":"`},
		{"x", http.MethodGet, "?crc_token=" + token, bare(nil), false, 200, `{"response_token":"sha256=`},
		{"discord", http.MethodPost, "", post(`{"type":0}`), true, 204, ""},
		{"discord", http.MethodPost, "", post(`{"type":1,"token":"t","id":"1"}`), true, 200, `{"type":1}`},
		{"graph", http.MethodPost, "?validationToken=" + token, bare(nil), false, 200, token},
		{"cloudevents", http.MethodOptions, "", bare(http.Header{"Webhook-Request-Origin": {"acme.example"}}), false, 200, ""},
		{"aws_sns", http.MethodPost, "", webhook.Request{Header: http.Header{}, Body: snsMessage("SubscriptionConfirmation", "You have chosen")}, false, 200, "confirmed"},
	} {
		r := c.request
		r.URI = f.uri(c.piece) + c.query
		if r.Header == nil {
			r.Header = http.Header{}
		}
		if c.signed {
			status, answer := f.send(f.plain, c.method, r)
			require.Equal(t, http.StatusUnauthorized, status, "%s is answered to strangers: %s", c.piece, answer)
			f.sign(c.piece, &r)
		}
		status, answer := f.send(f.plain, c.method, r)
		require.Equal(t, c.status, status, "%s %s: %s", c.piece, c.query, answer)
		require.True(t, strings.HasPrefix(answer, c.want), "%s: %s", c.piece, answer)
	}
	require.Contains(t, f.fetched, "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t1")
	for name := range f.ids {
		require.Empty(t, f.events(name, senders[name].stream), "a handshake of %s became an event", name)
	}
}
