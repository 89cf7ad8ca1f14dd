package http

import (
	"cmp"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/expr"
)

// Modes of a connection.
const (
	modePoll = "poll"
	modePush = "push"
)

// defaultStream takes the deliveries that map to no other.
const defaultStream = "events"

// effective returns the streams with all that holds for each, and the paths of
// their settings.
func (s Settings) effective() (streams []StreamSettings, paths []string) {
	if s.Stream != "" {
		streams, paths = append(streams, StreamSettings{Key: s.Stream, Reading: s.Reading}), append(paths, "")
	}
	for i, one := range s.Streams {
		streams = append(streams, StreamSettings{Key: one.Key, Reading: s.overriddenBy(one.Reading)})
		paths = append(paths, fmt.Sprintf("streams[%d]", i))
	}
	return streams, paths
}

// overriddenBy returns r with everything that is set in over.
func (r Reading) overriddenBy(over Reading) Reading {
	if over.IntervalMS != 0 && over.Schedule == "" {
		r.Schedule = "" // the stream's own interval wins over everybody's schedule
	}
	merged, from := reflect.ValueOf(&r).Elem(), reflect.ValueOf(over)
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			merged.Field(i).Set(from.Field(i))
		}
	}
	return r
}

// schedule returns when a stream is read, as a catalog says it.
func (r Reading) schedule() string {
	if r.Schedule != "" {
		return r.Schedule
	}
	return "@every " + (time.Duration(r.IntervalMS) * time.Millisecond).String()
}

// placeholder stands for an expression where only the rest of a URL matters.
const placeholder = "x"

// parseEndpoint returns what is fixed of an endpoint: its scheme and host.
func parseEndpoint(t template) (*url.URL, error) {
	if !t.given() {
		return nil, fmt.Errorf("is required")
	}
	text := t.Outside(placeholder)
	// What stands in the path and query is written by the request.
	origin, _, _ := strings.Cut(text, "?")
	parsed, err := url.Parse(origin)
	if err != nil {
		return nil, fmt.Errorf("is no URL")
	}
	switch {
	case parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "":
		return nil, fmt.Errorf("must start with http:// or https:// and name a host")
	case parsed.User != nil:
		return nil, fmt.Errorf("must not hold credentials; use authentication")
	case strings.Contains(text, "#"):
		return nil, fmt.Errorf("must not hold a fragment (#); no server ever sees it")
	}
	// The host must stand before the first expression: credentials go there.
	constant := t.Outside("\x00")
	if i := strings.IndexByte(constant, 0); i >= 0 && i <= len(parsed.Scheme)+len("://")+len(parsed.Host) {
		return nil, fmt.Errorf("must name its host without an expression, and a / before the first one")
	}
	return parsed, nil
}

// hosts returns the hosts that the connection may call, as the guard wants them.
func (s Settings) hosts() []string {
	var hosts []string
	streams, _ := s.effective()
	for _, one := range streams {
		if at, err := parseEndpoint(one.Endpoint); err == nil {
			host := at.Hostname()
			if at.Scheme == "http" {
				host = "http://" + host
			}
			hosts = append(hosts, host)
		}
	}
	for _, host := range s.AllowHosts {
		hosts = append(hosts, hostOf(host))
	}
	hosts = append(hosts, s.Authentication.Hosts()...)
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// hostOf cuts the port off a host of allow_hosts, and keeps http:// before it.
func hostOf(host string) string {
	rest, plain := strings.CutPrefix(host, "http://")
	parsed, err := url.Parse("//" + strings.TrimPrefix(rest, "https://"))
	if err != nil {
		return host
	}
	if plain {
		return "http://" + parsed.Hostname()
	}
	return parsed.Hostname()
}

// pushStreams returns the keys of the streams that push mode feeds.
func (s Settings) pushStreams() []string {
	var keys []string
	if s.Stream != "" {
		keys = append(keys, s.Stream)
	}
	for _, one := range s.Streams {
		keys = append(keys, one.Key)
	}
	if s.Routing != nil {
		mapped := make([]string, 0, len(s.Routing.Streams))
		for _, key := range s.Routing.Streams {
			mapped = append(mapped, key)
		}
		slices.Sort(mapped)
		for _, key := range append(mapped, cmp.Or(s.Routing.Default, defaultStream)) {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		keys = []string{defaultStream}
	}
	return keys
}

// templates calls visit for every text of a JSON value that may be a template.
func templates(value any, visit func(text string) (any, error)) (any, error) {
	switch v := value.(type) {
	case string:
		return visit(v)
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			var err error
			if list[i], err = templates(one, visit); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		members := make(map[string]any, len(v))
		for name, one := range v {
			var err error
			if members[name], err = templates(one, visit); err != nil {
				return nil, err
			}
		}
		return members, nil
	}
	return value, nil
}

// parsed checks that a text is a template.
func parsed(text string) (any, error) {
	_, err := expr.ParseTemplate(text)
	return text, err
}
