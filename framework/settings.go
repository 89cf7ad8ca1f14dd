package framework

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Secret is a setting that must never be shown. It prints as "***" everywhere.
type Secret string

// Reveal returns the secret itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret.
func (Secret) GoString() string { return "***" }

// MarshalJSON hides the secret.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// Secrets is a setting that holds one secret or, while they are rotated, a list
// of them. An entry of the list may be {"secret": text, "until": RFC 3339}; the
// framework keeps to its time where it verifies webhooks.
type Secrets []Secret

// UnmarshalJSON accepts a text, or a list of texts and {"secret", "until"}.
func (s *Secrets) UnmarshalJSON(b []byte) error {
	var one Secret
	if json.Unmarshal(b, &one) == nil {
		*s = Secrets{one}
		return nil
	}
	malformed := errors.New(`must be text, or a list of texts or {"secret": text, "until": time}`)
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil {
		return malformed
	}
	found := make(Secrets, len(list))
	for i, raw := range list {
		var timed struct {
			Secret *Secret    `json:"secret"`
			Until  *time.Time `json:"until"`
		}
		if json.Unmarshal(raw, &found[i]) == nil {
			continue
		}
		if json.Unmarshal(raw, &timed) != nil || timed.Secret == nil {
			return malformed
		}
		found[i] = *timed.Secret
	}
	*s = found
	return nil
}

// URL is a setting that holds an absolute http or https URL without
// credentials. The connection's HTTP client may call its host.
type URL string

// UnmarshalJSON checks the URL's form.
func (u *URL) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("must be a string")
	}
	parsed, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "":
		return errors.New("must start with http:// or https:// and name a host")
	case parsed.User != nil:
		return errors.New("must not hold credentials; use a secret setting")
	}
	*u = URL(s)
	return nil
}

// SettingError is one error of a connection's settings.
type SettingError struct {
	// Name is the path of the setting: "batch.max_events", "headers[1].value".
	Name string
	// Reason says what is wrong and what to do. It never holds the value.
	Reason string
	// Rule is the id of the rule that is broken, or "".
	Rule string
}

// Error formats the error.
func (e *SettingError) Error() string { return fmt.Sprintf("setting %q %s", e.Name, e.Reason) }

// SettingErrors are all errors of a connection's settings.
type SettingErrors []*SettingError

// Error lists every error, one a line.
func (e SettingErrors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// settingHosts returns the hosts of the settings of type [URL] at any depth, with
// http:// before those that may be called without TLS.
func settingHosts(settings any) []string {
	var hosts []string
	walkValues(reflect.ValueOf(settings), func(v reflect.Value) bool {
		if v.Type() != reflect.TypeFor[URL]() {
			return true
		}
		if parsed, err := url.Parse(v.String()); err == nil && v.String() != "" {
			host := parsed.Hostname()
			if parsed.Scheme == "http" {
				host = "http://" + host
			}
			hosts = append(hosts, host)
		}
		return false
	})
	return hosts
}

// walkValues calls visit for v and for every exported value below it, as long as
// visit says to go on.
func walkValues(v reflect.Value, visit func(reflect.Value) bool) {
	if !v.IsValid() || !visit(v) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walkValues(v.Field(i), visit)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walkValues(v.Index(i), visit)
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			walkValues(entry.Value(), visit)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walkValues(v.Elem(), visit)
		}
	default:
	}
}
