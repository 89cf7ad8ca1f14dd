package http

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/expr"
	"github.com/weirhq/weir/framework/httpguard"
	"github.com/weirhq/weir/framework/sink"
)

// methods are those that a sink may use.
var methods = []string{
	http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
}

// bodiless reports whether a method sends no body.
func bodiless(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// single are the formats that carry one event a request.
var single = []string{formatCloudEvents, formatBinary, formatJSON, formatTemplate}

// method returns the method if it is the same for every event.
func (s SinkSettings) fixedMethod() (string, bool) {
	if !s.Method.given() {
		return http.MethodPost, true
	}
	return s.Method.Constant()
}

// Validate reports everything that is wrong with the settings beyond each one's
// own form.
func (s SinkSettings) Validate() error {
	p := &problems{}
	if _, err := parseEndpoint(s.Endpoint); err != nil {
		p.add("endpoint", "%s", err)
	}
	method, fixed := s.fixedMethod()
	switch {
	case fixed && !slices.Contains(methods, method):
		p.add("method", "must be %s, or a template that gives one of them", strings.Join(methods, ", "))
	case s.Batch.MaxEvents > 1 && (fixed && bodiless(method) || bodiless(s.DeleteMethod)):
		p.add("batch.max_events", "must be 1 with %s, which carries no body", cmp.Or(s.DeleteMethod, method))
	case s.Batch.MaxEvents > 1 && slices.Contains(single, s.Format):
		p.add("batch.max_events", "must be 1 with format %s, which carries one event a request; use cloudevents_batched, json_array or ndjson", s.Format)
	}
	if s.Template.given() != (s.Format == formatTemplate) {
		p.add("template", "and format: template belong together; set both or neither")
	}
	checkHeaders(p, "headers", s.Headers)
	for name, value := range map[string]string{"content_type": s.ContentType, "idempotency_header": s.IdempotencyKey} {
		if !httpguard.ValidHeaderValue(value) || name == "idempotency_header" && !httpguard.ValidHeaderName(value) {
			p.add(name, "holds a character that no header can carry")
		}
	}
	if s.strategic() && s.RetryAttempts != nil {
		p.add("retry_attempts", "does not go with retry.backoff.sec or an exception strategy, which say how often by the number of waits; keep one")
	}
	if n := s.RetryAttempts; n != nil && (*n < 0 || *n > 100) {
		p.add("retry_attempts", "must be from 0 to 100")
	}
	if s.strategic() && (s.Retry.WaitsSec != nil || s.Retry.Statuses != nil) {
		p.add("retry", "has waits_sec or statuses, which are of the standard rules, beside retry.backoff.sec or an exception strategy; keep one")
	}
	if _, err := s.Retry.Statuses.verdicts(); err != nil {
		p.add("retry.statuses", "%s", err)
	}
	if len(s.Request.Delay.Sec) > 1 {
		p.add("request.delay.sec", "must be one number")
	}
	for i, secret := range s.SigningSecret {
		if _, err := signingKey(secret.Reveal()); err != nil {
			p.add(fmt.Sprintf("signing_secret[%d]", i), "%s", err)
		}
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

// ruleInsecure is the rule for what can be read or changed on the way.
const ruleInsecure = "SC603"

// Warnings says what is allowed and should be known.
func (s SinkSettings) Warnings() framework.SettingErrors {
	var warnings framework.SettingErrors
	warn := func(name, rule, reason string) {
		warnings = append(warnings, &framework.SettingError{Name: name, Reason: reason, Rule: rule})
	}
	at, err := parseEndpoint(s.Endpoint)
	if err != nil {
		return nil
	}
	if s.TLS.Insecure {
		rule := ruleInsecure
		if isLoopback(at.Hostname()) {
			rule = ""
		}
		warn("tls.insecure", rule, "is set: nobody verifies who answers, so whoever is in between reads and changes everything; give the receiver's own authority as tls.ca")
	}
	if at.Scheme == "http" && !isLoopback(at.Hostname()) {
		warn("endpoint", ruleInsecure, "is plain http: events and credentials can be read and changed on the way; use https")
	}
	for name, secret := range map[string]framework.Secret{"token": s.Authentication.Token, "key": s.Authentication.Key} {
		if secret != "" && len(secret) < minCredential {
			warn("authentication."+name, "", fmt.Sprintf("has %d bytes; below %d it can be guessed", len(secret), minCredential))
		}
	}
	return warnings
}

// strategic reports whether the exception strategies hold in place of the
// standard rules.
func (s SinkSettings) strategic() bool {
	return s.Exception.Strategy != "" || s.Retry.Backoff.Sec != nil
}

// policy says what answers mean.
func (s SinkSettings) policy() sink.Policy {
	if s.strategic() {
		return sink.Strategy{Strategy: s.Exception.Strategy, Backoff: s.Retry.Backoff.Sec, RetryFlag: s.Retry.Flag}
	}
	attempts := 6
	switch {
	case s.RetryAttempts != nil:
		attempts = *s.RetryAttempts + 1
	case s.Retry.WaitsSec != nil:
		attempts = len(s.Retry.WaitsSec) + 1
	}
	statuses, _ := s.Retry.Statuses.verdicts() // Validate has said what is wrong
	return sink.Standard{
		Waits: s.Retry.WaitsSec, Statuses: statuses,
		MaxAttempts: attempts, MaxAge: inSeconds(s.Retry.MaxAgeSec), Base: inSeconds(s.Retry.BaseSec), Cap: inSeconds(s.Retry.CapSec),
		MaxRetryAfter: inSeconds(s.Retry.RetryAfterSec),
	}
}

func inSeconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// options are those of the connection's client.
func (s SinkSettings) options() httpguard.Options {
	var hosts []string
	if at, err := parseEndpoint(s.Endpoint); err == nil {
		host := at.Hostname()
		if at.Scheme == "http" {
			host = "http://" + host
		}
		hosts = append(hosts, host)
	}
	return httpguard.Options{
		Hosts: append(hosts, s.Authentication.Hosts()...), Timeout: inSeconds(s.TimeoutSeconds), Step: inSeconds(s.StepTimeout), Proxy: string(s.Proxy),
		MaxPerHost: s.Pool.PerHost, MaxTotal: s.Pool.Total,
		TLS: httpguard.TLS{
			CA: s.TLS.CA, Certificate: s.TLS.Certificate, Key: s.TLS.Key.Reveal(), ServerName: s.TLS.ServerName,
			MinVersion: s.TLS.MinVersion, Insecure: s.TLS.Insecure,
		},
	}
}

// spec says how the sink delivers.
func (s SinkSettings) spec(sender sink.Sender) sink.Spec {
	spec := sink.Spec{
		Sender: sender, Policy: s.policy(), Order: s.Order, InFlight: s.InFlight,
		Batch:   sink.Batch{MaxEvents: s.Batch.MaxEvents, Wait: time.Duration(s.Batch.TimeoutMS) * time.Millisecond, MaxBytes: s.Batch.MaxBytes},
		Timeout: inSeconds(s.TimeoutSeconds), DisableAfter: time.Duration(s.DisableAfterHours * float64(time.Hour)),
	}
	if len(s.Request.Delay.Sec) > 0 {
		spec.Delay = s.Request.Delay.Sec[0]
	}
	return spec
}

// plainText is a value of an expression in a text.
func plainText(_ string, v expr.Value) string { return v.Text() }
