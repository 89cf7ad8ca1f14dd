package trigger

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/webhook"
)

// Type is the type of a connection that is a trigger.
const Type = "trigger"

// Plugin stands for connections of type trigger wherever settings are checked,
// described, hidden or declare something: it is linked into every program, and is
// no connector that a source or sink could name.
var Plugin = framework.DefineDynamic(catalog.Connector{Key: Type, Dynamic: true}, declare,
	func(context.Context, framework.Instance[Settings]) (framework.Routes, error) {
		return nil, errors.New("a trigger has no routes of its own")
	})

// AnyMethod is the method of a trigger that takes all of them.
const AnyMethod = "*"

// Actions that every program has.
const (
	// ActionSync reads poll streams to their end, now.
	ActionSync = "sync"
	// ActionBackfill reads a past range of a stream.
	ActionBackfill = "backfill"
	// ActionRedeliver sends the dead letters of a sink again.
	ActionRedeliver = "redeliver"
	// ActionIngest records the input as an event.
	ActionIngest = "ingest"
)

// BuiltIn lists the actions that every program has.
func BuiltIn() []string {
	return []string{ActionSync, ActionBackfill, ActionRedeliver, ActionIngest}
}

// Methods lists the methods that a trigger may have.
func Methods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
}

// Settings configure a trigger.
type Settings struct {
	Path           string                       `json:"path" required:"true" doc:"The address below /sink/trigger/http/{project}: it begins with a slash and is compared exactly."`
	Method         string                       `json:"method" required:"true" enum:"GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS,*" doc:"The method that callers use; * takes all of them."`
	AuthToken      framework.Secrets            `json:"auth_token" doc:"What callers send as Authorization: Bearer, or a list while it is rotated. null makes the trigger public."`
	Public         bool                         `json:"public" doc:"Anybody may call; the same as auth_token: null."`
	Auth           *webhook.AuthSetting         `json:"auth" doc:"How callers prove who they are where that is no bearer token: a mode or preset by name, or a mapping with type and the mode's fields."`
	WebhookSecret  framework.Secrets            `json:"webhook_secret" doc:"The secret of auth, or a list while it is rotated."`
	Secrets        map[string]framework.Secrets `json:"secrets" doc:"Further secrets, for modes of several parts: secret_setting: secrets.name."`
	Action         string                       `json:"action" required:"true" doc:"What is done: an action as connection.action or connector.action, or sync, backfill, redeliver or ingest."`
	Target         string                       `json:"target" doc:"What a built-in action works on: for sync a stream as connection.stream, or a connection for all of its polls; for backfill a stream; for redeliver a sink."`
	Stream         string                       `json:"stream" doc:"ingest: the key of the trigger's own stream that gets the events. The default is events."`
	EventType      string                       `json:"event_type" doc:"ingest: the type of the events. The default is trigger.received."`
	IdempotencyKey []string                     `json:"idempotency_key" doc:"ingest: where the sender's id of an event is: header:Name or body:path, the first that is there. The default is header:Idempotency-Key, else the hash of the body."`
}

const (
	// MaxBody bounds the body of a request, and so the input of an action.
	MaxBody = 1 << 20
	// maxPath bounds the path.
	maxPath = 512

	defaultStream    = "events"
	defaultEventType = "trigger.received"
	tokenSetting     = "auth_token"
	// minCredential is the length below which a token can be guessed.
	minCredential = 16
)

// Canonical brings settings into their one form: a token that is null is a trigger
// that is public.
func (Settings) Canonical(given map[string]any) (map[string]any, error) {
	if token, is := given[tokenSetting]; is && token == nil {
		if public, said := given["public"]; said && public != true { //nolint:revive // it may be no boolean at all
			return nil, framework.SettingErrors{{Name: "public", Reason: "is false, and auth_token: null says that anybody may call; keep one"}}
		}
		delete(given, tokenSetting)
		given["public"] = true
	}
	if method, ok := given["method"].(string); ok {
		given["method"] = strings.ToUpper(method)
	}
	return given, nil
}

// Validate reports everything that is wrong beyond each setting's own form.
func (s Settings) Validate() error {
	var errs framework.SettingErrors
	add := func(name, format string, args ...any) {
		errs = append(errs, &framework.SettingError{Name: name, Reason: fmt.Sprintf(format, args...)})
	}
	if reason := pathProblem(s.Path); reason != "" {
		add("path", "%s", reason)
	}
	ways := 0
	for _, given := range []bool{s.AuthToken != nil, s.Public, s.Auth != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		add(tokenSetting, "is required: it says who may call. Write a token, or auth for another way to prove it, or auth_token: null for a trigger that anybody may call")
	case ways > 1:
		add(tokenSetting, "and auth and public exclude each other; keep one")
	}
	if s.AuthToken != nil && slices.ContainsFunc(s.AuthToken, func(t framework.Secret) bool { return strings.TrimSpace(t.Reveal()) == "" }) {
		add(tokenSetting, "is empty; write a token, or null for a trigger that anybody may call")
	}
	if s.Auth != nil && (s.Auth.Spec.Auth == catalog.AuthCustom || s.Auth.Spec.Auth == catalog.AuthNone) {
		add("auth", "cannot be %s for a trigger; for one that anybody may call say public: true", s.Auth.Spec.Auth)
	}
	builtIn := slices.Contains(BuiltIn(), s.Action)
	if connection, key, dotted := strings.Cut(s.Action, "."); !builtIn && (!dotted || connection == "" || !catalog.ValidKey(key)) {
		add("action", "is no action: write connection.action or connector.action, or one of %s%s", strings.Join(BuiltIn(), ", "), framework.Suggest(s.Action, BuiltIn()))
	}
	if needed := builtIn && s.Action != ActionIngest; needed != (s.Target != "") {
		if needed {
			add("target", "is required: it says what %s works on", s.Action)
		} else {
			add("target", "belongs to sync, backfill and redeliver")
		}
	}
	if s.Action == ActionIngest && !catalog.ValidKey(s.stream()) {
		add("stream", "%q does not match %s", s.Stream, catalog.KeyPattern)
	}
	for name, given := range map[string]bool{"stream": s.Stream != "", "event_type": s.EventType != "", "idempotency_key": s.IdempotencyKey != nil} {
		if given && s.Action != ActionIngest {
			add(name, "belongs to ingest")
		}
	}
	for i, where := range s.IdempotencyKey {
		source, name, _ := strings.Cut(where, ":")
		if source != "header" && source != "body" || name == "" {
			add(fmt.Sprintf("idempotency_key[%d]", i), "must be header:Name or body:path.to.id")
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// pathProblem says why a path cannot be a trigger's, or "".
func pathProblem(path string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "must begin with a slash"
	case len(path) > maxPath:
		return fmt.Sprintf("has %d bytes; the limit is %d", len(path), maxPath)
	case !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "holds what cannot be printed"
	case strings.ContainsAny(path, `?#%\`):
		return `is written as callers mean it, without query and escapes: ? # % and \ cannot be in it`
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		if segment == "." || segment == ".." || segment == "" && i < len(segments)-1 {
			return "has an empty segment, . or .., which clients resolve before they send it"
		}
	}
	return ""
}

// Warnings says what is allowed and should be known.
func (s Settings) Warnings() framework.SettingErrors {
	var warnings framework.SettingErrors
	warn := func(name, reason string) {
		warnings = append(warnings, &framework.SettingError{Name: name, Reason: reason})
	}
	if s.Public {
		warn("public", "is set: anybody who finds the address may start runs")
	}
	if slices.ContainsFunc(s.AuthToken, func(t framework.Secret) bool { return len(t.Reveal()) < minCredential }) {
		warn(tokenSetting, fmt.Sprintf("has fewer than %d characters and could be guessed", minCredential))
	}
	if s.Method == http.MethodGet || s.Method == http.MethodHead || s.Method == AnyMethod {
		if s.Public {
			warn("method", "takes GET from anybody: a link, an image on any page or a crawler starts runs")
		}
	}
	return warnings
}

// Endpoint is how requests are verified. Its limits are the trigger's.
func (s Settings) Endpoint() catalog.Endpoint {
	spec := catalog.EndpointSpec{Auth: catalog.AuthNone, Reason: "the connection says public: true"}
	switch {
	case s.Auth != nil:
		spec = s.Auth.Spec
	case s.AuthToken != nil:
		spec = catalog.EndpointSpec{Auth: catalog.AuthBearer, SecretSetting: tokenSetting}
	}
	spec.MaxBody, spec.Deadline = MaxBody, 0
	if s.Action == ActionIngest && len(spec.DeliveryKey) == 0 {
		spec.DeliveryKey = s.IdempotencyKey
		if spec.DeliveryKey == nil && s.Auth == nil {
			spec.DeliveryKey = []string{"header:Idempotency-Key"}
		}
	}
	return catalog.Receive(Type, spec)
}

func (s Settings) stream() string {
	if s.Stream == "" {
		return defaultStream
	}
	return s.Stream
}

// Events is the stream and the type of the events that ingest records.
func (s Settings) Events() (stream, eventType string) {
	if s.EventType == "" {
		return s.stream(), defaultEventType
	}
	return s.stream(), s.EventType
}

// declare says what a trigger has: the endpoint that verifies, and the stream that
// ingest feeds.
func declare(s Settings) (streams []catalog.Stream, endpoints []catalog.Endpoint, err error) {
	if s.Action == ActionIngest {
		streams = append(streams, catalog.Webhook[any](s.stream()))
	}
	return streams, []catalog.Endpoint{s.Endpoint()}, nil
}
