package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/expr"
	"github.com/weirhq/weir/framework/httpguard"
)

// problems gathers errors of settings by path.
type problems struct{ errs framework.SettingErrors }

func (p *problems) add(path, format string, args ...any) {
	p.errs = append(p.errs, &framework.SettingError{Name: path, Reason: fmt.Sprintf(format, args...)})
}

// below joins a path and a name.
func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// Validate reports everything that is wrong with the settings beyond each one's
// own form.
func (s Settings) Validate() error {
	p := &problems{}
	if s.Mode == modePush {
		s.checkPush(p)
	} else {
		s.checkPoll(p)
	}
	if err := s.options().Check(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			name := "tls"
			if strings.HasPrefix(line, "proxy") {
				name = "proxy"
			}
			p.add(name, "is wrong: %s", line)
		}
	}
	if len(p.errs) > 0 {
		return p.errs
	}
	return nil
}

// minCredential is the length below which a credential can be guessed.
const minCredential = 16

// Warnings says what is allowed and should be known.
func (s Settings) Warnings() framework.SettingErrors {
	var warnings framework.SettingErrors
	warn := func(name, reason string) {
		warnings = append(warnings, &framework.SettingError{Name: name, Reason: reason})
	}
	if s.TLS.Insecure {
		warn("tls.insecure", "is set: nobody verifies who answers, so whoever is in between reads and changes everything")
	}
	streams, paths := s.effective()
	for i, one := range streams {
		at, err := parseEndpoint(one.Endpoint)
		if err == nil && at.Scheme == "http" && s.Mode == modePoll && s.Authentication.Type != "none" && !isLoopback(at.Hostname()) {
			warn(below(paths[i], "endpoint"), "is plain http: the credentials can be read on the way")
		}
	}
	for name, secret := range map[string]framework.Secret{"token": s.Authentication.Token, "key": s.Authentication.Key} {
		if secret != "" && len(secret) < minCredential {
			warn("authentication."+name, fmt.Sprintf("has %d bytes; below %d it can be guessed", len(secret), minCredential))
		}
	}
	return warnings
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (s Settings) checkPoll(p *problems) {
	for name, given := range map[string]bool{
		"auth": s.Auth != nil, "webhook_secret": s.WebhookSecret != nil, "webhook_verify_token": s.VerifyToken != nil, "secrets": s.Secrets != nil,
		"idempotency_key": s.IdempotencyKey != nil, "routing": s.Routing != nil,
	} {
		if given {
			p.add(name, "belongs to mode: push")
		}
	}
	streams, paths := s.effective()
	if len(streams) == 0 {
		p.add("stream", "or streams is required: the key of the stream that the records go to")
	}
	for i, host := range s.AllowHosts {
		bare := strings.TrimPrefix(strings.TrimPrefix(host, "http://"), "https://")
		if at, err := url.Parse("//" + bare); err != nil || at.Hostname() == "" || at.Host != bare {
			p.add(fmt.Sprintf("allow_hosts[%d]", i), "is no host, such as files.example.com")
		}
	}
	checkHeaders(p, "headers", s.Headers)
	for i, one := range s.Streams {
		checkHeaders(p, fmt.Sprintf("streams[%d].headers", i), one.Headers)
	}
	for i, one := range streams {
		one.check(p, paths[i])
	}
}

// check reports what is wrong with how a stream is read.
func (r StreamSettings) check(p *problems, path string) {
	if _, err := parseEndpoint(r.Endpoint); err != nil {
		p.add(below(path, "endpoint"), "%s", err)
	}
	if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
		p.add(below(path, "path"), "must start with /")
	}
	if r.Schedule == "" && r.IntervalMS%1000 != 0 {
		p.add(below(path, "interval_ms"), "must be whole seconds, such as %d", (r.IntervalMS/1000+1)*1000)
	}
	if body, err := decodeBody(r.Body); err != nil {
		p.add(below(path, "body"), "%s", err)
	} else if _, err := templates(body, parsed); err != nil {
		p.add(below(path, "body"), "%s", err)
	}
	if r.Body != nil && r.Method == http.MethodGet {
		p.add(below(path, "body"), "cannot be sent with GET; set method")
	}
	if r.CSV != nil && r.Format != "csv" {
		p.add(below(path, "csv"), "belongs to format: csv")
	}
	if r.CSV != nil && len([]rune(r.CSV.Delimiter)) != 1 {
		p.add(below(path, "csv.delimiter"), "must be one character")
	}
	r.checkPaging(p, path)
	if w := r.Window; w != nil && w.Start != "" {
		if _, err := time.Parse(time.RFC3339, w.Start); err != nil {
			p.add(below(path, "window.start"), "must be a time such as 2026-01-31T00:00:00Z")
		}
	}
	for i, status := range r.EmptyStatuses {
		if status < 300 || status > 599 {
			p.add(below(path, fmt.Sprintf("empty_statuses[%d]", i)), "must be a status from 300 to 599")
		}
	}
}

func (r StreamSettings) checkPaging(p *problems, path string) {
	g := r.Pagination
	if g == nil {
		return
	}
	path = below(path, "pagination")
	if g.Type == "cursor" && !g.Cursor.given() {
		p.add(below(path, "cursor"), "is required with type cursor")
	}
	if g.Type == "next_url" && !g.Next.given() {
		p.add(below(path, "next"), "is required with type next_url")
	}
	if (g.Type == "cursor" || g.Type == "link" || g.Type == "next_url") && g.Start != 0 {
		p.add(below(path, "start"), "belongs to type offset and page")
	}
	if g.LimitParam != "" && g.Limit == 0 {
		p.add(below(path, "limit"), "is required with limit_param")
	}
	if r.Format != "json" && (g.Type == "cursor" || g.Type == "next_url" || g.HasMore.given()) {
		p.add(below(path, "type"), "%s reads a JSON body, which format %s has not; use link, offset or page", g.Type, r.Format)
	}
}

// refusedHeaders may not be set: they belong to the transfer, or say who signed.
var refusedHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection"}

func checkHeaders(p *problems, path string, headers []Header) {
	for i, h := range headers {
		at := fmt.Sprintf("%s[%d]", path, i)
		name := http.CanonicalHeaderKey(h.Name)
		switch {
		case !httpguard.ValidHeaderName(h.Name):
			p.add(at+".name", "is no header name")
		case slices.Contains(refusedHeaders, name) || strings.HasPrefix(name, "Webhook-") || strings.HasPrefix(name, "Svix-"):
			p.add(at+".name", "may not be set: %s is written by Weir itself", name)
		}
		t, err := expr.ParseTemplate(h.Value.Reveal())
		switch {
		case err != nil:
			p.add(at+".value", "%s", err)
		case !httpguard.ValidHeaderValue(t.Outside("")):
			p.add(at+".value", "holds a line break or another character that no header can carry")
		}
	}
}

// decodeBody returns the configured body as a value, nil for none.
func decodeBody(raw json.RawMessage) (any, error) {
	if raw == nil {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var body any
	if err := decoder.Decode(&body); err != nil {
		return nil, fmt.Errorf("cannot be read")
	}
	return body, nil
}

// options are those of the connection's client.
func (s Settings) options() httpguard.Options {
	return httpguard.Options{
		Hosts: s.hosts(), Timeout: time.Duration(s.TimeoutSeconds * float64(time.Second)), Proxy: string(s.Proxy),
		MaxPerHost: s.Pool.PerHost, MaxTotal: s.Pool.Total,
		TLS: httpguard.TLS{
			CA: s.TLS.CA, Certificate: s.TLS.Certificate, Key: s.TLS.Key.Reveal(), ServerName: s.TLS.ServerName,
			MinVersion: s.TLS.MinVersion, Insecure: s.TLS.Insecure,
		},
	}
}

// headerIsUnsigned reports that a mode's signature does not cover a header. Some
// providers say the kind of a delivery in a header only.
func headerIsUnsigned(spec catalog.EndpointSpec, name string) bool {
	switch spec.Auth {
	case catalog.AuthGitHub, catalog.AuthShopify, catalog.AuthBitbucket, catalog.AuthGitLab:
		return false // the kind stands nowhere else
	case catalog.AuthNone, catalog.AuthBearer, catalog.AuthBasic, catalog.AuthAPIKey, catalog.AuthMTLS:
		return false // the credential vouches for the whole request
	case catalog.AuthMessageSignature:
		return !slices.Contains(spec.MessageSignature.Components, strings.ToLower(name))
	case catalog.AuthAllOf:
		for _, part := range spec.AllOf {
			if !headerIsUnsigned(part, name) && part.Auth != catalog.AuthNone {
				return false
			}
		}
	default:
	}
	return true
}

func (s Settings) checkPush(p *problems) {
	if s.Endpoint.given() {
		p.add("endpoint", "is refused in push mode: the provider calls; path names the intake")
	}
	if s.Path == "" {
		p.add("path", "is required in push mode: /webhooks/{connection}/{path} receives the deliveries")
	}
	if s.Auth == nil {
		p.add("auth", "is required in push mode: how deliveries are verified, such as stripe, or a mapping with type: hmac")
	}
	for name, given := range map[string]bool{
		"pagination": s.Pagination != nil, "incremental": s.Incremental != nil, "window": s.Window != nil, "body": s.Body != nil,
		"query": s.Query != nil, "headers": s.Headers != nil, "checks": s.Checks != nil, "schedule": s.Schedule != "",
		"authentication": s.Authentication.Type != "none", "empty_statuses": s.EmptyStatuses != nil,
	} {
		if given {
			p.add(name, "belongs to mode: poll")
		}
	}
	for i, one := range s.Streams {
		if one.Path != "" || one.Endpoint.given() || one.Schedule != "" || one.IntervalMS != 0 {
			p.add(fmt.Sprintf("streams[%d]", i), "may say in push mode what records mean (records, key, version, time, event_type, deleted), and not how they are asked for")
		}
	}
	for i, where := range s.IdempotencyKey {
		source, name, _ := strings.Cut(where, ":")
		if source != "header" && source != "body" || name == "" {
			p.add(fmt.Sprintf("idempotency_key[%d]", i), "must be header:Name or body:path.to.id")
		}
	}
	if s.Routing == nil {
		if len(s.pushStreams()) > 1 {
			p.add("routing", "is required with several streams: which one does a delivery go to?")
		}
		return
	}
	if (s.Routing.Header != "") == s.Routing.Body.given() {
		p.add("routing", "needs header or body, and not both")
	}
	if s.Routing.Header != "" && s.Auth != nil && headerIsUnsigned(s.Auth.Spec, s.Routing.Header) {
		p.add("routing.header", "is not covered by the signature of auth %s, so anybody on the way could choose the stream; route by body", s.Auth.Spec.Auth)
	}
}

// sameOrigin reports whether a URL leads to the host, port and scheme of base.
func sameOrigin(u, base *url.URL) bool {
	return u.Scheme == base.Scheme && strings.EqualFold(u.Host, base.Host)
}
