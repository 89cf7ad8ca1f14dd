package http

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// Send makes one request, and another one when its credentials have ended. Both
// end with ctx; one without a deadline gets that of the settings.
func (o *outlet) Send(ctx context.Context, batch []*sink.Message) sink.Answer {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, inSeconds(o.settings.TimeoutSeconds))
		defer cancel()
	}
	answer, refused := o.try(ctx, batch)
	if refused {
		// A token can end before its time; the next request has a new one.
		answer, _ = o.try(ctx, batch)
	}
	return answer
}

// try makes one request. refused says that another one has other credentials.
func (o *outlet) try(ctx context.Context, batch []*sink.Message) (answer sink.Answer, refused bool) {
	request, body, err := o.request(ctx, batch)
	if err == nil {
		err = o.authorizer.Authorize(ctx, request, body)
	}
	if err != nil {
		return sink.Answer{Err: o.failure(ctx, err)}, false
	}
	response, err := o.client.Do(request)
	if err != nil {
		return sink.Answer{Err: o.failure(ctx, err), Request: describe(request)}, false
	}
	defer func() { _ = response.Body.Close() }()
	answer = sink.Answer{Status: response.StatusCode, Header: response.Header}
	// What a receiver goes on to say is not read, whatever it inflates to.
	answer.Body, err = io.ReadAll(io.LimitReader(response.Body, store.MaxResponseBytes))
	if err != nil {
		answer.Err = fmt.Errorf("%d %s, but the answer broke off: %w", answer.Status, http.StatusText(answer.Status), o.failure(ctx, err))
	}
	if answer.Err != nil || answer.Status < 200 || answer.Status > 299 || len(answer.Body) > 0 {
		answer.Request = describe(request)
	}
	return answer, answer.Status == http.StatusUnauthorized && o.authorizer.Refused(request)
}

// request makes the request of a batch, and returns its body as it is sent.
func (o *outlet) request(ctx context.Context, batch []*sink.Message) (*http.Request, []byte, error) {
	first, _ := batch[0].Made.(*letter)
	to := first.to
	body := o.join(batch)
	if bodiless(to.method) {
		body = nil
	}
	request, err := http.NewRequestWithContext(ctx, to.method, to.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, errors.New("endpoint: makes no URL")
	}
	if body == nil {
		request.Body, request.GetBody, request.ContentLength = http.NoBody, nil, 0
	}
	request.Header.Set("User-Agent", "weir")
	if body != nil {
		request.Header.Set("Content-Type", contentTypes[o.settings.Format])
	}
	if o.settings.Format == formatBinary {
		binaryHeaders(request.Header, first.sent)
	}
	if o.settings.ContentType != "" && body != nil {
		request.Header.Set("Content-Type", o.settings.ContentType)
	}
	id := batchID(batch)
	if o.settings.IdempotencyKey != noHeader {
		request.Header.Set(o.settings.IdempotencyKey, id)
	}
	seen := map[string]bool{}
	for i, h := range o.settings.Headers {
		name := http.CanonicalHeaderKey(h.Name)
		if !seen[name] {
			request.Header.Del(name) // what is set wins over our defaults
		}
		seen[name] = true
		request.Header.Add(name, to.headers[i])
	}
	if body, err = o.requests.compress(request, body); err != nil {
		return nil, nil, err
	}
	o.sign(request.Header, id, body)
	return request, body, nil
}

// noHeader is the word for a header that is not sent.
const noHeader = "none"

// batchID is the id of a request: that of the event, or one that is made of those
// of all events. It is the same over all tries.
func batchID(batch []*sink.Message) string {
	if len(batch) == 1 {
		return batch[0].Event.ID
	}
	sum := sha256.New()
	for _, m := range batch {
		_, _ = io.WriteString(sum, m.Event.ID+"\n")
	}
	return "bat_" + hex.EncodeToString(sum.Sum(nil)[:16])
}

// sign puts the headers of Standard Webhooks into h
// (https://github.com/standard-webhooks/standard-webhooks), with one signature a
// secret and the time of this try.
func (o *outlet) sign(h http.Header, id string, body []byte) {
	if len(o.keys) == 0 {
		return
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	signatures := make([]string, 0, len(o.keys))
	for _, key := range o.keys {
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, id+"."+timestamp+".")
		_, _ = mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", timestamp)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
}

// minSigningSecret is the shortest secret, in bytes, that may sign.
const minSigningSecret = 16

// signingKey decodes a secret of Standard Webhooks.
func signingKey(secret string) ([]byte, error) {
	encoded := strings.TrimRight(strings.TrimPrefix(strings.TrimSpace(secret), "whsec_"), "=")
	key, err := base64.RawStdEncoding.Strict().DecodeString(encoded)
	switch {
	case err != nil:
		return nil, errors.New("must be base64, after whsec_ if it starts so; make one with: openssl rand -base64 32")
	case len(key) < minSigningSecret:
		return nil, fmt.Errorf("has %d bytes; a signing secret needs at least %d", len(key), minSigningSecret)
	}
	return key, nil
}

// binaryHeaders writes an event's attributes as the HTTP binding of CloudEvents
// says, binary mode.
func binaryHeaders(h http.Header, e *ingest.Event) {
	bare := *e
	bare.Payload = nil
	encoded, err := bare.MarshalJSON()
	if err != nil {
		return
	}
	var attributes map[string]any
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if decoder.Decode(&attributes) != nil {
		return
	}
	delete(attributes, "datacontenttype") // that is Content-Type
	for name, value := range attributes {
		h.Set("Ce-"+name, percentEncode(fmt.Sprint(value)))
	}
}

// percentEncode encodes what a header value may not hold, as the binding says.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// failure says why there was no answer, without the URL, which may hold secrets.
func (o *outlet) failure(ctx context.Context, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	timeout := false
	if e, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok {
		timeout = e.Timeout()
	}
	switch {
	case errors.Is(err, httpguard.ErrAddressRefused), errors.Is(err, httpguard.ErrHostNotAllowed), errors.Is(err, httpguard.ErrPlaintext):
		return err
	case errors.Is(err, httpguard.ErrStalled):
		return err
	case timeout && ctx.Err() == nil && o.settings.StepTimeout > 0:
		return fmt.Errorf("%w within %s", httpguard.ErrStalled, inSeconds(o.settings.StepTimeout))
	case timeout || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no whole answer within %s", inSeconds(o.settings.TimeoutSeconds))
	}
	return err
}

// shownHeaders are those whose values are no secrets.
var shownHeaders = []string{
	"Content-Type", "Accept", "User-Agent", "Content-Encoding", "Idempotency-Key", "Webhook-Id", "Webhook-Timestamp",
}

// describe writes what was sent for people: without query, body, what looks like a
// token in the path and the values of headers, which may be secrets. The event itself is kept beside it.
func describe(r *http.Request) []byte {
	var b bytes.Buffer
	shown := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}
	fmt.Fprintf(&b, "%s %s\n", r.Method, httpguard.Shown(shown.String()))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			if !slices.Contains(shownHeaders, name) && !strings.HasPrefix(name, "Ce-") {
				value = "***"
			}
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.Bytes()
}
