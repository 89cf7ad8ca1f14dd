package framework

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// DefineDynamic links a connector whose streams and endpoints come from the
// settings of each connection; its declaration says Dynamic: true and lists
// none. streams is called for every set of settings, also for those that are
// only checked, so it must do nothing but declare. Its error should be a
// [SettingErrors]. What it returns is held to the same rules as a catalog in
// source. open is as for [Define].
func DefineDynamic[S any](
	connector catalog.Connector,
	streams func(settings S) ([]catalog.Stream, []catalog.Endpoint, error),
	open func(ctx context.Context, in Instance[S]) (Routes, error),
) Plugin {
	p := Define(connector, open)
	p.declare = func(decoded any) ([]catalog.Stream, []catalog.Endpoint, error) {
		return streams(*decoded.(*S)) //nolint:errcheck // it was decoded into a value of this type
	}
	return p
}

// Dynamic reports whether the streams come from the settings of a connection.
func (p Plugin) Dynamic() bool { return p.declare != nil }

// CatalogErrors are the findings of severity error about the streams and
// endpoints that the settings of a connection declare.
type CatalogErrors []catalog.Finding

// Error lists every finding, one a line.
func (e CatalogErrors) Error() string { return RouteErrors(e).Error() }

// Declare returns the declaration of a connection with the given settings: the
// connector's own, or for [DefineDynamic] the one that the settings make. Its
// error lists everything that is wrong with the settings and with the catalog.
func (p Plugin) Declare(settings map[string]any) (connector catalog.Connector, err error) {
	redact := newRedactor(p.secretValues(settings))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("streams of connector %q: %w", p.Key(), newPanicError(r))
		}
		err = redact.settings(err)
	}()
	decoded, err := p.decode(settings)
	if err != nil {
		return catalog.Connector{}, err
	}
	return p.declared(decoded)
}

// Warnings returns what is allowed in a connection's settings and should be
// known: settings may have a method Warnings() SettingErrors. It returns nothing
// for settings that are wrong.
func (p Plugin) Warnings(settings map[string]any) SettingErrors {
	decoded, err := p.decode(settings)
	if err != nil {
		return nil
	}
	if warner, ok := decoded.(interface{ Warnings() SettingErrors }); ok {
		return warner.Warnings()
	}
	return nil
}

// declared returns the declaration that decoded settings make.
func (p Plugin) declared(decoded any) (catalog.Connector, error) {
	c := p.connector
	if p.declare == nil {
		return c, nil
	}
	streams, endpoints, err := p.declare(decoded)
	if err != nil {
		return catalog.Connector{}, err
	}
	c.Streams, c.Endpoints = streams, endpoints
	var failed CatalogErrors
	for _, f := range catalog.Validate(c) {
		if f.Severity == catalog.SeverityError {
			failed = append(failed, f)
		}
	}
	if len(failed) > 0 {
		return catalog.Connector{}, failed
	}
	return c, nil
}

// settings cleans what a check of settings said: a reason may come from the
// author's own decoding or Validate.
func (r redactor) settings(err error) error {
	if faults, ok := errors.AsType[SettingErrors](err); ok {
		for _, fault := range faults {
			fault.Reason = r.text(fault.Reason)
		}
		return faults
	}
	return r.err(err)
}

// SettingAt returns the value at a path such as "auth.secrets[0]" of settings
// that were not decoded, or nil where there is none.
func SettingAt(settings map[string]any, path string) any {
	var at any = settings
	for _, step := range SplitPath(path) {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	return at
}

// SplitPath returns the steps of a setting's path: auth, secrets and 0 for
// "auth.secrets[0]".
func SplitPath(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}
