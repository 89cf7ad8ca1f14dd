package framework

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
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
	// Name is the setting, with dots between levels.
	Name string
	// Reason says what is wrong and what to do. It never holds the value.
	Reason string
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

// settingsValidator is implemented by settings with rules of their own.
type settingsValidator interface{ Validate() error }

type settingField struct {
	index    int
	name     string
	fallback string
	required bool
	secret   bool
}

// settingFields reads the tags of a settings struct: `json` names the setting,
// `default` is its default as text, and `required:"true"` refuses its absence.
func settingFields(t reflect.Type) []settingField {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var fields []settingField
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		secret := f.Type == reflect.TypeFor[Secret]() || f.Type == reflect.TypeFor[[]Secret]()
		fields = append(fields, settingField{i, name, f.Tag.Get("default"), f.Tag.Get("required") == "true", secret})
	}
	return fields
}

// decodeSettings fills into, a pointer to a settings struct, from settings. It
// returns every error at once. reserved settings belong to the framework and
// are ignored where the struct does not ask for them.
func decodeSettings(settings map[string]any, into any, reserved []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the connector's own check of its settings: %w", newPanicError(r))
		}
	}()
	v := reflect.ValueOf(into).Elem()
	if v.Kind() != reflect.Struct {
		return fmt.Errorf("settings type %s is not a struct", v.Type())
	}
	fields := settingFields(v.Type())
	known := make([]string, 0, len(fields)+len(reserved))
	var errs SettingErrors
	for _, f := range fields {
		known = append(known, f.name)
		value, given := settings[f.name]
		switch {
		case given && value != nil:
			if reason := decodeSetting(value, v.Field(f.index).Addr().Interface()); reason != "" {
				errs = append(errs, &SettingError{f.name, reason})
			} else if f.required && v.Field(f.index).IsZero() {
				errs = append(errs, &SettingError{f.name, "is empty"})
			}
		case f.fallback != "":
			if reason := decodeDefault(f.fallback, v.Field(f.index)); reason != "" {
				errs = append(errs, &SettingError{f.name, "has an unusable default: " + reason})
			}
		case f.required:
			errs = append(errs, &SettingError{f.name, "is required"})
		}
	}
	known = append(known, reserved...)
	for name := range settings {
		if !slices.Contains(known, name) {
			errs = append(errs, &SettingError{name, "is unknown" + Suggest(name, known)})
		}
	}
	slices.SortFunc(errs, func(a, b *SettingError) int { return strings.Compare(a.Name, b.Name) })
	if len(errs) > 0 {
		return errs
	}
	if validator, ok := into.(settingsValidator); ok {
		return validator.Validate()
	}
	return nil
}

func decodeSetting(value, into any) (reason string) {
	b, err := json.Marshal(value)
	if err != nil {
		return "cannot be read"
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &wrong):
		return fmt.Sprintf("must be %s, not %s", kindWords(wrong.Type), wrong.Value)
	default:
		return err.Error()
	}
}

// kindWords names a type as an operator would.
func kindWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	default:
		return "a whole number"
	}
}

func decodeDefault(text string, field reflect.Value) (reason string) {
	if field.Kind() == reflect.String {
		quoted, _ := json.Marshal(text)
		text = string(quoted)
	}
	if err := json.Unmarshal([]byte(text), field.Addr().Interface()); err != nil {
		return err.Error()
	}
	return ""
}

// settingHosts returns the hosts of the settings of type [URL], with http://
// before those that may be called without TLS.
func settingHosts(settings any) []string {
	v := reflect.ValueOf(settings)
	if v.Kind() != reflect.Struct {
		return nil
	}
	var hosts []string
	for i := range v.NumField() {
		if u, ok := asURL(v, i); ok {
			if parsed, err := url.Parse(string(u)); err == nil {
				host := parsed.Hostname()
				if parsed.Scheme == "http" {
					host = "http://" + host
				}
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

func asURL(v reflect.Value, i int) (URL, bool) {
	if !v.Type().Field(i).IsExported() {
		return "", false
	}
	u, ok := reflect.TypeAssert[URL](v.Field(i))
	return u, ok && u != ""
}
