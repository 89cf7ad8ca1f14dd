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
	"github.com/weirhq/weir/framework/httpguard"
)

// Instance is what one revision of a connection gives to a connector's open.
type Instance[S any] struct {
	// Settings are the connection's decoded settings.
	Settings S
	// HTTP is the client for every call to the provider. It reaches only the
	// connector's declared hosts and the hosts of settings of type [URL],
	// never follows a redirect to another host, and bounds the response.
	HTTP *http.Client
	// Client makes a client with options of its own, such as a client
	// certificate. It reaches only the hosts that the options name.
	Client func(httpguard.Options) (*http.Client, error)
	// State keeps small values of the connection across restarts; nil where
	// nothing is kept, as in tests.
	State State
	// Log writes to the runtime's log, with project and connection filled in.
	Log *slog.Logger
	// Project and Connection are names, ConnectionID is the immutable id.
	Project, Connection, ConnectionID string
}

// Plugin is a connector that is ready to be linked into a binary: declaration,
// settings and routes. [Define] and [DefineDynamic] make one.
type Plugin struct {
	connector catalog.Connector
	settings  reflect.Type
	// declare returns what decoded settings declare; nil for a connector whose
	// streams do not depend on them.
	declare func(settings any) ([]catalog.Stream, []catalog.Endpoint, error)
	open    func(ctx context.Context, settings any, in OpenRequest) (Routes, error)
	// sink is what the connector is as a sink, nil when it is none.
	sink *sinkPart
}

// Define links a connector's declaration, its settings type S and its routes.
// open is called once for each revision of a connection; it should keep what
// the routes need in values of its own, and return quickly.
func Define[S any](connector catalog.Connector, open func(ctx context.Context, in Instance[S]) (Routes, error)) Plugin {
	return Plugin{
		connector: connector,
		settings:  reflect.TypeFor[S](),
		open: func(ctx context.Context, decoded any, in OpenRequest) (Routes, error) {
			settings := *decoded.(*S) //nolint:errcheck // it was decoded into a value of this type
			return open(ctx, Instance[S]{
				Settings: settings, HTTP: in.client(connector.Hosts, settingHosts(settings)), Client: in.newClient, State: in.State, Log: in.Log,
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
	// NewClient makes a guarded client with options. Without it, the options
	// but the hosts are left out.
	NewClient func(httpguard.Options) (*http.Client, error)
	// State keeps values of the connection.
	State State
}

func (in OpenRequest) newClient(o httpguard.Options) (*http.Client, error) {
	if in.NewClient == nil {
		return in.client(nil, o.Hosts), nil
	}
	return in.NewClient(o)
}

func (in OpenRequest) client(declared, configured []string) *http.Client {
	if in.Client == nil {
		return nil
	}
	return in.Client(slices.Concat(declared, configured))
}

// decode returns a pointer to the decoded settings, and every error of them.
func (p Plugin) decode(settings map[string]any) (any, error) {
	if p.settings == nil {
		return nil, errors.New("plugin was not made by framework.Define")
	}
	if p.connector.Dynamic != (p.declare != nil) {
		return nil, fmt.Errorf("connector %q: Dynamic: true and framework.DefineDynamic belong together; use both or neither", p.Key())
	}
	into := reflect.New(p.settings).Interface()
	err := decodeSettings(settings, into, reservedSettings(p.connector))
	return into, err
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
// opening anything. For a connector whose streams come from settings that
// includes the findings about its catalog, as [CatalogErrors].
func (p Plugin) CheckSettings(settings map[string]any) error {
	_, err := p.Declare(settings)
	return err
}

// SecretSettings returns the paths of the settings that hold secrets: fields of
// type [Secret] and [Secrets], with [] for every entry of a list and * for every
// name of a map, and the secrets of webhook endpoints.
func (p Plugin) SecretSettings() []string {
	names := append(reservedSettings(p.connector), p.settingsWhere(func(s Setting) bool { return s.Secret })...)
	slices.Sort(names)
	return slices.Compact(names)
}

// AddressSettings returns the paths of the settings that hold URLs, as
// [Plugin.SecretSettings] does: many services write a secret into one.
func (p Plugin) AddressSettings() []string {
	return p.settingsWhere(func(s Setting) bool { return s.Address })
}

func (p Plugin) settingsWhere(is func(Setting) bool) []string {
	var names []string
	for _, s := range p.Settings() {
		s.walk("", func(path string, s Setting) {
			if is(s) {
				names = append(names, path)
			}
		})
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
	decoded, err := p.decode(in.Settings)
	if err != nil {
		return nil, redact.err(fmt.Errorf("open connector %q: %w", p.Key(), err))
	}
	connector, err := p.declared(decoded)
	if err != nil {
		return nil, redact.err(fmt.Errorf("open connector %q: %w", p.Key(), err))
	}
	routes, err := p.open(ctx, decoded, in)
	if err != nil {
		return nil, redact.err(fmt.Errorf("open connector %q: %w", p.Key(), err))
	}
	return bind(connector, p.settings, routes, redact)
}

// secretValues returns the values of the secret settings, to keep them out of
// what the connector says. It reads the settings as they were given, so that
// those that cannot be decoded are found too.
func (p Plugin) secretValues(settings map[string]any) []string {
	var values []string
	for _, name := range reservedSettings(p.connector) {
		values = append(values, SecretList(settings[name])...)
	}
	values = append(values, secretsIn(settings, p.settings)...)
	if p.settings == nil {
		return values
	}
	// A type that decodes itself may take its secrets from anywhere. What cannot
	// be decoded is reported elsewhere.
	decoded := reflect.New(p.settings)
	_ = decodeSettings(settings, decoded.Interface(), reservedSettings(p.connector))
	walkValues(decoded.Elem(), func(v reflect.Value) bool {
		if v.Type() == reflect.TypeFor[Secret]() {
			values = append(values, v.String())
		}
		return true
	})
	return values
}

// secretsIn returns the secrets in a value that is to be decoded into a t.
func secretsIn(value any, t reflect.Type) []string {
	if t == nil || value == nil {
		return nil
	}
	if isSecret(t) {
		return SecretList(value)
	}
	var found []string
	switch plain := plainSetting(value).(type) {
	case map[string]any:
		switch shapeOf(t) {
		case shapeMap:
			for _, one := range plain {
				found = append(found, secretsIn(one, t.Elem())...)
			}
		case shapePointer:
			return secretsIn(plain, t.Elem())
		default:
			for _, f := range settingFields(t) {
				found = append(found, secretsIn(plain[f.name], f.kind)...)
			}
		}
	case []any:
		if shapeOf(t) == shapeList {
			for _, one := range plain {
				found = append(found, secretsIn(one, t.Elem())...)
			}
		}
	}
	return found
}

// SecretList returns the secrets in a setting that holds one or, while they are
// rotated, several: as texts, or as {"secret": text, "until": time}.
func SecretList(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case map[string]any:
		return SecretList(v["secret"])
	case Secret:
		return []string{string(v)}
	case []string:
		return v
	case []any:
		var list []string
		for _, one := range v {
			if _, nested := one.([]any); !nested {
				list = append(list, SecretList(one)...)
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
		for _, name := range e.Spec().SecretSettings() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
