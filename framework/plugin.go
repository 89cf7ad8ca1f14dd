package framework

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"

	"github.com/weirhq/weir/catalog"
)

// Instance is what one revision of a connection gives to a connector's open.
type Instance[S any] struct {
	// Settings are the connection's decoded settings.
	Settings S
	// HTTP is the client for every call to the provider. It reaches only the
	// connector's declared hosts and the hosts of settings of type [URL],
	// never follows a redirect to another host, and bounds the response.
	HTTP *http.Client
	// Log writes to the runtime's log, with project and connection filled in.
	Log *slog.Logger
	// Project and Connection are names, ConnectionID is the immutable id.
	Project, Connection, ConnectionID string
}

// Plugin is a connector that is ready to be linked into a binary: declaration,
// settings and routes. [Define] makes one.
type Plugin struct {
	connector catalog.Connector
	settings  reflect.Type
	open      func(ctx context.Context, in OpenRequest) (Routes, error)
}

// Define links a connector's declaration, its settings type S and its routes.
// open is called once for each revision of a connection; it should keep what
// the routes need in values of its own, and return quickly.
func Define[S any](connector catalog.Connector, open func(ctx context.Context, in Instance[S]) (Routes, error)) Plugin {
	return Plugin{
		connector: connector,
		settings:  reflect.TypeFor[S](),
		open: func(ctx context.Context, in OpenRequest) (Routes, error) {
			var settings S
			if err := decodeSettings(in.Settings, &settings, reservedSettings(connector)); err != nil {
				return nil, err
			}
			return open(ctx, Instance[S]{
				Settings: settings, HTTP: in.client(connector.Hosts, settingHosts(settings)), Log: in.Log,
				Project: in.Project, Connection: in.Connection, ConnectionID: in.ConnectionID,
			})
		},
	}
}

// OpenRequest is what the runtime opens a connection with.
type OpenRequest struct {
	Project, Connection, ConnectionID string
	// Settings are the connection's settings as they were decoded from YAML or
	// JSON, with references to secrets resolved.
	Settings map[string]any
	// Log is the connection's logger.
	Log *slog.Logger
	// Client returns the guarded HTTP client for the given hosts. One that begins
	// with "http://" may be called without TLS.
	Client func(hosts []string) *http.Client
}

func (in OpenRequest) client(declared, configured []string) *http.Client {
	if in.Client == nil {
		return nil
	}
	return in.Client(slices.Concat(declared, configured))
}

// Key returns the connector's key.
func (p Plugin) Key() string { return p.connector.Key }

// Connector returns the connector's declaration.
func (p Plugin) Connector() catalog.Connector { return p.connector }

// Manifest returns the connector's manifest, with the descriptions of its
// source comments when its generated manifest is up to date.
func (p Plugin) Manifest() catalog.Manifest {
	m, _ := catalog.Described(p.connector)
	return m
}

// CheckSettings reports every error of a connection's settings at once, without
// opening anything.
func (p Plugin) CheckSettings(settings map[string]any) error {
	if p.settings == nil {
		return errors.New("plugin was not made by framework.Define")
	}
	err := decodeSettings(settings, reflect.New(p.settings).Interface(), reservedSettings(p.connector))
	redact := newRedactor(p.secretValues(settings))
	if faults, ok := errors.AsType[SettingErrors](err); ok {
		// A reason may come from the author's own decoding or Validate.
		for _, fault := range faults {
			fault.Reason = redact.text(fault.Reason)
		}
		return faults
	}
	return redact.err(err)
}

// SecretSettings returns the names of the settings that hold secrets: fields of
// type [Secret], and the secrets of webhook endpoints.
func (p Plugin) SecretSettings() []string {
	names := reservedSettings(p.connector)
	for _, f := range settingFields(p.settings) {
		if f.secret && !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return names
}

// Open decodes the settings, opens the connector, and holds its routes against
// its catalog. A missing or surplus route is an error that carries the rule id.
func (p Plugin) Open(ctx context.Context, in OpenRequest) (binding *Binding, err error) {
	if p.open == nil {
		return nil, errors.New("plugin was not made by framework.Define")
	}
	if in.Log == nil {
		in.Log = slog.New(slog.DiscardHandler)
	}
	redact := newRedactor(p.secretValues(in.Settings))
	in.Log = slog.New(redactedLog{in.Log.Handler(), redact})
	defer func() {
		if r := recover(); r != nil {
			binding, err = nil, redact.err(fmt.Errorf("open connector %q: %w", p.Key(), newPanicError(r)))
		}
	}()
	routes, err := p.open(ctx, in)
	if err != nil {
		return nil, redact.err(fmt.Errorf("open connector %q: %w", p.Key(), err))
	}
	return bind(p.connector, routes, redact)
}

// secretValues returns the values of the secret settings, to keep them out of
// what the connector says.
func (p Plugin) secretValues(settings map[string]any) []string {
	var values []string
	for _, name := range p.SecretSettings() {
		values = append(values, SecretList(settings[name])...)
	}
	if p.settings == nil {
		return values
	}
	decoded := reflect.New(p.settings)
	// What cannot be decoded is reported elsewhere; what can is decoded here too.
	_ = decodeSettings(settings, decoded.Interface(), reservedSettings(p.connector))
	return append(values, secretsIn(decoded.Elem())...)
}

// secretsIn returns the secrets at any depth of v, the value of a settings type.
func secretsIn(v reflect.Value) []string {
	if v.Type() == reflect.TypeFor[Secret]() {
		return []string{v.String()}
	}
	var found []string
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			found = append(found, secretsIn(field)...)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			found = append(found, secretsIn(v.Index(i))...)
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			found = append(found, secretsIn(entry.Value())...)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			found = append(found, secretsIn(v.Elem())...)
		}
	default:
	}
	return found
}

// SecretList returns the secrets in a setting that holds one or, while they are
// rotated, several.
func SecretList(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	case []any:
		var list []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}

// reservedSettings are the settings that the framework itself reads.
func reservedSettings(c catalog.Connector) []string {
	var names []string
	for _, e := range c.Endpoints {
		if name := e.Spec().SecretSetting; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
