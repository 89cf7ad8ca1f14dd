package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Connector is what one connector declares. Its value is fixed at compile
// time; the settings of a connection are declared in package framework.
type Connector struct {
	// Key names the connector: ^[a-z][a-z0-9_]{0,62}$.
	Key string
	// Streams are the declared streams, in the order in which they are shown.
	Streams []Stream
	// Endpoints are the declared webhook endpoints.
	Endpoints []Endpoint
	// Hosts are the provider's host names that the connector may call, for
	// example "api.stripe.com" or "*.shopify.com". With none, it may call only
	// the hosts that the connection's settings name.
	Hosts []string
	// Dynamic says that the streams come from the settings of a connection.
	// Only connectors without code for a provider set it.
	Dynamic bool
	// RateLimit is how many requests the provider allows one account to make,
	// such as "100/min" or "5/s"; "" if nobody knows. All streams of a connection
	// keep to it together. The rate_limit of a connection wins over it.
	RateLimit string
	// Actions are what a connection can be asked to do, in the order in which they
	// are shown.
	Actions []Callable
}

// Manifest is the canonical form of a connector's declarations.
type Manifest struct {
	Connector   string             `json:"connector"`
	Package     string             `json:"package,omitempty"`
	Description string             `json:"description,omitempty"`
	Dynamic     bool               `json:"dynamic,omitempty"`
	Streams     []StreamManifest   `json:"streams"`
	Endpoints   []EndpointManifest `json:"endpoints,omitempty"`
	Hosts       []string           `json:"hosts,omitempty"`
	RateLimit   string             `json:"rate_limit,omitempty"`
	Actions     []ActionManifest   `json:"actions,omitempty"`
}

// StreamManifest is one stream of a [Manifest].
type StreamManifest struct {
	Key             string `json:"key"`
	Mode            Mode   `json:"mode"`
	Description     string `json:"description,omitempty"`
	Schedule        string `json:"schedule,omitempty"`
	CursorVersion   int    `json:"cursor_version,omitempty"`
	Window          bool   `json:"window,omitempty"`
	LookbackSeconds int64  `json:"lookback_seconds,omitempty"`
	Backfill        bool   `json:"backfill,omitempty"`
	RenamedFrom     string `json:"renamed_from,omitempty"`
	// FormerKeys are those before RenamedFrom, see [PollSpec].
	FormerKeys []string `json:"former_keys,omitempty"`
}

// Former returns every key that the stream had before, the last one first.
func (s StreamManifest) Former() []string { return formerKeys(s.RenamedFrom, s.FormerKeys) }

func formerKeys(last string, earlier []string) []string {
	if last == "" {
		return earlier
	}
	return append([]string{last}, earlier...)
}

// EndpointManifest is one webhook endpoint of a [Manifest].
type EndpointManifest struct {
	Path string `json:"path"`
	EndpointSpec
	Description string `json:"description,omitempty"`
}

// Manifest returns the canonical form of c. Package and the descriptions come
// from source comments, so they are empty here; see [Describe].
func (c Connector) Manifest() Manifest {
	m := Manifest{Connector: c.Key, Dynamic: c.Dynamic, Streams: []StreamManifest{}, Hosts: c.Hosts, RateLimit: c.RateLimit}
	for _, s := range c.Streams {
		if s == nil {
			m.Streams = append(m.Streams, StreamManifest{})
			continue
		}
		d := s.Declaration()
		m.Streams = append(m.Streams, StreamManifest{
			Key: d.Key, Mode: d.Mode, Schedule: d.Poll.Schedule, CursorVersion: d.Poll.CursorVersion,
			Window: d.Poll.Window, LookbackSeconds: int64(d.Poll.Lookback.Seconds()),
			Backfill: d.Poll.Backfill, RenamedFrom: d.RenamedFrom, FormerKeys: d.FormerKeys,
		})
	}
	for _, e := range c.Endpoints {
		m.Endpoints = append(m.Endpoints, EndpointManifest{Path: e.Path(), EndpointSpec: e.Spec()})
	}
	for _, a := range c.Actions {
		m.Actions = append(m.Actions, actionManifest(a))
	}
	return m
}

// Stream returns the stream with the given key.
func (m Manifest) Stream(key string) (StreamManifest, bool) {
	for _, s := range m.Streams {
		if s.Key == key {
			return s, true
		}
	}
	return StreamManifest{}, false
}

// Endpoint returns the endpoint with the given path.
func (m Manifest) Endpoint(path string) (EndpointManifest, bool) {
	for _, e := range m.Endpoints {
		if e.Path == path {
			return e, true
		}
	}
	return EndpointManifest{}, false
}

// JSON returns the canonical encoding of m: fields in declaration order, no
// insignificant space, no HTML escapes.
func (m Manifest) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		// Manifest holds strings, numbers, structs and slices of them only.
		panic("catalog: encode manifest: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// Digest returns the SHA-256 of the canonical encoding, as "sha256:<hex>".
func (m Manifest) Digest() string {
	sum := sha256.Sum256(m.JSON())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParseManifest decodes a canonical manifest and refuses unknown fields.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	if d.More() {
		return Manifest{}, fmt.Errorf("decode manifest: data after the manifest")
	}
	if m.Streams == nil {
		m.Streams = []StreamManifest{}
	}
	return m, nil
}

// bare returns m without what only source comments can tell, so that a
// generated manifest can be compared with the declarations in the program.
func (m Manifest) bare() Manifest {
	m.Package, m.Description = "", ""
	streams := make([]StreamManifest, len(m.Streams))
	for i, s := range m.Streams {
		s.Description = ""
		streams[i] = s
	}
	m.Streams = streams
	var endpoints []EndpointManifest
	for _, e := range m.Endpoints {
		e.Description = ""
		endpoints = append(endpoints, e)
	}
	m.Endpoints = endpoints
	var actions []ActionManifest
	for _, a := range m.Actions {
		a.Description = ""
		actions = append(actions, a)
	}
	m.Actions = actions
	return m
}

// Lookback returns how far a live window reaches back into the last one.
func (s StreamManifest) Lookback() time.Duration {
	return time.Duration(s.LookbackSeconds) * time.Second
}
