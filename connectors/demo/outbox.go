package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxWaiting bounds the webhooks that wait to be sent.
const maxWaiting = 5000

// outbox holds the webhooks that were not taken yet. Provider.mu guards it,
// save sending, which is held while requests are sent, so that one flush at a
// time is at work.
type outbox struct {
	target  string
	key     []byte
	waiting []message
	sending sync.Mutex
}

// message is one webhook request to be sent.
type message struct {
	id   string
	body []byte
	due  int // the step from which on it is sent
}

func (o *outbox) full() bool { return len(o.waiting) >= maxWaiting }

// NewSecret returns a webhook secret in the form of Standard Webhooks.
func NewSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: https://pkg.go.dev/crypto/rand#Read
	return "whsec_" + base64.StdEncoding.EncodeToString(b)
}

// SetWebhook says where webhooks go and what signs them. Webhooks about what
// happened before wait until then.
func (p *Provider) SetWebhook(target, secret string) error {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("set webhook: the target is no http URL")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return errors.New(`set webhook: the secret must be "whsec_" and base64; NewSecret makes one`)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outbox.target, p.outbox.key = target, key
	return nil
}

// notify queues a webhook, perhaps twice, perhaps late.
func (p *Provider) notify(id string, body []byte) {
	copies := 1
	if p.random.IntN(100) < p.config.DoublePercent {
		copies = 2
	}
	for range copies {
		m := message{id: id, body: body, due: p.step}
		if p.random.IntN(100) < p.config.LatePercent {
			m.due += 1 + p.random.IntN(4)
		}
		p.outbox.waiting = append(p.outbox.waiting, m)
	}
}

// Step lets time pass: some things happen, and the webhooks that are due are
// sent, one after the other. One that is not taken is sent again in the next
// step; the error says why, and is no reason to stop.
func (p *Provider) Step(ctx context.Context) error {
	p.mu.Lock()
	p.step++
	p.mutate()
	now := p.step
	p.mu.Unlock()
	return p.flush(ctx, func(m message) bool { return m.due <= now })
}

// Drain sends every webhook that waits, also those that would come late. It
// fails when one is not taken.
func (p *Provider) Drain(ctx context.Context) error {
	return p.flush(ctx, func(message) bool { return true })
}

// Waiting returns how many webhook requests have not been taken yet.
func (p *Provider) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.outbox.waiting)
}

func (p *Provider) flush(ctx context.Context, due func(message) bool) error {
	p.outbox.sending.Lock()
	defer p.outbox.sending.Unlock()
	p.mu.Lock()
	target, key := p.outbox.target, p.outbox.key
	var batch []message
	if target != "" {
		for _, m := range p.outbox.waiting {
			if due(m) {
				batch = append(batch, m)
			}
		}
		p.outbox.waiting = slices.DeleteFunc(p.outbox.waiting, due)
	}
	p.mu.Unlock()

	for i, m := range batch {
		if err := p.send(ctx, target, key, m); err != nil {
			// The receiver is down or busy: keep this one and the rest.
			p.mu.Lock()
			p.outbox.waiting = append(slices.Clone(batch[i:]), p.outbox.waiting...)
			p.mu.Unlock()
			return fmt.Errorf("send webhook %s: %w", m.id, err)
		}
	}
	return nil
}

// send sends one webhook, signed as Standard Webhooks 1.0.0 says.
func (p *Provider) send(ctx context.Context, target string, key []byte, m message) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(m.body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	timestamp := strconv.FormatInt(p.config.Clock().Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(m.id + "." + timestamp + "."))
	mac.Write(m.body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", m.id)
	request.Header.Set("Webhook-Timestamp", timestamp)
	request.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	response, err := p.config.Client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the receiver answered %s", response.Status)
	}
	return nil
}
