package kafkaconnect

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connection"
)

// Keys that are not settings of a connector.
const (
	keyName   = "name"
	keyClass  = "connector.class"
	keyType   = "type"
	keyTopics = "topics"
	keyRegex  = "topics.regex"
	keyStart  = "start"
	keyStream = "streams"
	// keySpelled keeps the keys that the caller wrote, so that they read back as
	// they were written.
	keySpelled = "weir.keys"
	// classHTTP is the connector of a configuration that only says where to call.
	classHTTP = "http"
)

// spellings are the names that settings of class http have in the documentation
// of the HTTP sink for Kafka Connect. They are what a sink reads back as.
var spellings = map[string]string{
	"endpoint": "callback.request.url",
	"method":   "callback.request.method",
	"headers":  "callback.request.headers",
}

// A sink of class http that is made at this face has the exception strategies, as
// their documentation says, with the default of it.
const (
	pathStrategy    = "exception.strategy"
	defaultStrategy = "PROGRESS_BACK_OFF_DROP_MESSAGE"
)

// strategyRules are settings that choose the exception strategies, standardRules
// those that choose the standard rules.
var (
	strategyRules = []string{pathStrategy, "retry.backoff.sec"}
	standardRules = []string{
		"retry_attempts", "retry.waits_sec", "retry.statuses", "retry.base_sec", "retry.cap_sec", "retry.max_age_sec", "retry.max_retry_after_sec",
	}
)

// methods are what a sink may call with at this face.
var methods = []string{"POST", "PUT", "DELETE"}

// keyError is one thing that is wrong with one key.
type keyError struct{ key, message string }

// class is a connector as this face knows it.
type class struct {
	key, kind string
	plugin    framework.Plugin
	// leaves are its settings by their path; order is their order.
	leaves map[string]framework.Setting
	order  []string
}

// newClass returns a connector as a source or sink, or false when it is none.
func newClass(p framework.Plugin, kind string) (*class, bool) {
	if kind == typeSink {
		as, ok := p.AsSink()
		if !ok {
			return nil, false
		}
		p = as
	} else if !p.Source() {
		return nil, false
	}
	c := &class{key: p.Key(), kind: kind, plugin: p, leaves: map[string]framework.Setting{}}
	var walk func(parent string, list []framework.Setting)
	walk = func(parent string, list []framework.Setting) {
		for _, s := range list {
			path := parent + s.Name
			if s.Type == "object" && len(s.Fields) > 0 {
				walk(path+".", s.Fields)
				continue
			}
			c.leaves[path] = s
			c.order = append(c.order, path)
		}
	}
	walk("", p.Settings())
	return c, true
}

// classes are the connectors by key, sinks before sources.
type classes struct {
	sinks, sources map[string]*class
}

func newClasses(plugins []framework.Plugin) classes {
	all := classes{map[string]*class{}, map[string]*class{}}
	for _, p := range plugins {
		if c, ok := newClass(p, typeSink); ok {
			all.sinks[c.key] = c
		}
		if c, ok := newClass(p, typeSource); ok {
			all.sources[c.key] = c
		}
	}
	return all
}

// of chooses the class that a configuration is about.
func (all classes) of(config map[string]string) (*class, []keyError) {
	key := config[keyClass]
	if _, calls := config["callback.request.url"]; key == "" && calls {
		key = classHTTP
	}
	if key == "" {
		return nil, []keyError{{keyClass, `Missing required configuration "connector.class" which has no default value.`}}
	}
	sink, source := all.sinks[key], all.sources[key]
	if sink == nil && source == nil {
		known := slices.Sorted(maps.Keys(all.sinks))
		known = slices.Compact(slices.Sorted(slices.Values(append(known, slices.Collect(maps.Keys(all.sources))...))))
		return nil, []keyError{{keyClass, fmt.Sprintf("Failed to find any class that implements Connector and which name matches %s, available connectors are: %s%s",
			key, strings.Join(known, ", "), framework.Suggest(key, known))}}
	}
	_, topics := config[keyTopics]
	_, regex := config[keyRegex]
	_, calls := config["callback.request.url"]
	wants := config[keyType]
	switch {
	case wants != "" && wants != typeSource && wants != typeSink:
		return nil, []keyError{{keyType, fmt.Sprintf("Invalid value %s for configuration type: must be source or sink", wants)}}
	case wants == typeSource && source == nil, wants == typeSink && sink == nil:
		return nil, []keyError{{keyType, fmt.Sprintf("Invalid value %s for configuration type: connector %s is no %s", wants, key, wants)}}
	case wants == typeSource, sink == nil:
		return source, nil
	case wants == typeSink, source == nil, topics, regex, calls:
		return sink, nil
	default:
		return source, nil
	}
}

// paths calls visit for every setting below values, with its path.
func (c *class) paths(parent string, values map[string]any, visit func(path string, value any)) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		path := parent + name
		below, deeper := values[name].(map[string]any)
		if _, leaf := c.leaves[path]; !leaf && deeper {
			c.paths(path+".", below, visit)
			continue
		}
		visit(path, values[name])
	}
}

// reading is a configuration that is being read.
type reading struct {
	*class
	spec Spec
	// keys are the keys that were written for each path, and hidden those whose texts
	// hold a secret.
	keys   map[string]string
	hidden map[string]bool
	errs   []keyError
	warned []keyError
}

// read turns a configuration into a connection. What is wrong with single keys
// is returned; what is wrong with the connection as a whole is the desk's to say.
func (c *class) read(name string, config map[string]string) *reading {
	r := &reading{class: c, keys: map[string]string{}, hidden: map[string]bool{}, spec: Spec{
		Name: connectionName(name), Type: c.kind, Connector: c.key, Settings: map[string]any{}, Extra: map[string]string{keyName: name},
	}}
	var spelled []string
	for _, key := range slices.Sorted(maps.Keys(config)) {
		text := config[key]
		switch key {
		case keyName, keySpelled:
			continue
		case keyClass, keyType, keyTopics, keyRegex, keyStart:
			r.own(key, text)
			spelled = append(spelled, key)
			continue
		}
		if key == keyStream && r.ownStreams() {
			r.own(key, text)
			spelled = append(spelled, key)
			continue
		}
		if r.setting(key, text) {
			spelled = append(spelled, key)
		} else {
			r.spec.Extra[key] = text
			r.hidden[key] = connection.SecretExtra(key, text)
			r.warned = append(r.warned, keyError{key, "is kept and returned; it has no effect here" + framework.Suggest(key, r.order)})
		}
	}
	r.whole(config)
	r.spec.Extra[keySpelled] = strings.Join(spelled, ",")
	return r
}

// ownStreams reports that streams is a key of the connection: connectors that
// take their streams from their settings have one of their own.
func (c *class) ownStreams() bool {
	_, setting := c.leaves[keyStream]
	return c.kind == typeSink || !setting
}

func (r *reading) fault(key, message string) { r.errs = append(r.errs, keyError{key, message}) }

// own reads a key of the connection itself.
func (r *reading) own(key, text string) {
	switch key {
	case keyStart:
		r.spec.Start = text
		r.keys["start"] = key
	case keyTopics, keyStream:
		if key == keyTopics && r.kind != typeSink {
			r.fault(key, "Invalid configuration topics: it belongs to sinks; a source selects its streams with streams")
			return
		}
		streams := split(text)
		if len(r.spec.Streams) > 0 && !slices.Equal(streams, r.spec.Streams) {
			r.fault(key, "Invalid configuration "+key+": "+r.keys["streams"]+" is the same with another value; keep one")
		}
		r.spec.Streams, r.keys["streams"] = streams, key
	case keyRegex:
		if r.kind != typeSink {
			r.fault(key, "Invalid configuration topics.regex: it belongs to sinks")
			return
		}
		r.spec.Streams, r.keys["streams"] = append(r.spec.Streams, "/"+text+"/"), key
	}
}

// setting reads a key of the connector's settings, and reports whether it is one.
func (r *reading) setting(key, text string) bool {
	canonical, err := r.plugin.Canonical(map[string]any{key: text})
	if err != nil {
		r.hidden[key] = true // nobody knows what is in it
		var settings framework.SettingErrors
		if !errors.As(err, &settings) {
			r.fault(key, invalid(key, "", err.Error()))
			return true
		}
		for _, one := range settings {
			r.fault(key, invalid(key, "", one.Reason))
		}
		return true
	}
	known := false
	r.paths("", canonical, func(path string, value any) {
		s, ok := r.leaves[path]
		if !ok {
			return
		}
		known = true
		r.hidden[key] = r.hidden[key] || holdsSecret(s)
		if raw, is := value.(string); is {
			var err error
			if value, err = parse(s, raw); err != nil {
				shown := raw
				if r.hidden[key] {
					shown = hidden
				}
				r.fault(key, invalid(key, shown, err.Error()))
				return
			}
		}
		if before, twice := r.keys[path]; twice && !reflect.DeepEqual(get(r.spec.Settings, path), value) {
			r.fault(key, "Invalid configuration "+key+": "+before+" is the same setting with another value; keep one")
			return
		}
		r.keys[path] = key
		put(r.spec.Settings, path, value)
	})
	return known
}

// holdsSecret reports that a setting is a secret, or that there is one in it.
func holdsSecret(s framework.Setting) bool {
	if s.Secret || slices.ContainsFunc(s.Fields, holdsSecret) {
		return true
	}
	return s.Entry != nil && holdsSecret(*s.Entry)
}

// whole checks what several keys say together.
func (r *reading) whole(config map[string]string) {
	if r.kind != typeSink {
		return
	}
	_, topics := config[keyTopics]
	_, regex := config[keyRegex]
	switch {
	case topics && regex:
		r.fault(keyTopics, "topics and topics.regex are mutually exclusive options, but both are set.")
	case len(r.spec.Streams) == 0:
		r.fault(keyTopics, "Must configure one of topics or topics.regex")
	}
	if method, ok := r.spec.Settings["method"].(string); ok && r.key == classHTTP && !slices.Contains(methods, method) {
		key := r.keys["method"]
		r.fault(key, invalid(key, method, "must be one of POST, PUT, DELETE"))
	}
}

// rules chooses the exception strategies for a sink of class http that says nothing
// of when it tries again, unless it was there before with the standard rules.
func (r *reading) rules(before *Connection) {
	says := func(settings map[string]any, paths []string) bool {
		return slices.ContainsFunc(paths, func(path string) bool { return get(settings, path) != nil })
	}
	if r.kind != typeSink || r.key != classHTTP || says(r.spec.Settings, strategyRules) || says(r.spec.Settings, standardRules) {
		return
	}
	if before == nil || says(before.Settings, strategyRules) {
		put(r.spec.Settings, pathStrategy, defaultStrategy)
	}
}

func invalid(key, value, reason string) string {
	if value == "" {
		return fmt.Sprintf("Invalid value for configuration %s: %s", key, reason)
	}
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", value, key, reason)
}

// faults are what the desk says of the connection, by the keys that were written.
func (r *reading) faults(err *InvalidError) []keyError {
	var list []keyError
	for _, f := range err.Faults {
		key := f.Path
		for path := f.Path; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
			if written, ok := r.keys[path]; ok {
				key = written
				break
			}
		}
		if key == f.Path && spellings[f.Path] != "" && r.kind == typeSink && r.key == classHTTP {
			key = spellings[f.Path]
		}
		if f.Reason == "is required" {
			list = append(list, keyError{key, fmt.Sprintf("Missing required configuration %q which has no default value.", key)})
			continue
		}
		list = append(list, keyError{cmp.Or(key, keyName), invalid(cmp.Or(key, keyName), "", f.Reason)})
	}
	return list
}

// split cuts a list at its commas.
func split(text string) []string {
	list := []string{}
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			list = append(list, one)
		}
	}
	return list
}

// What is wrong with texts, in the words of Kafka Connect.
var (
	errNoInteger = errors.New("Not a number of type INT")                  //nolint:staticcheck // tools know these words
	errNoNumber  = errors.New("Not a number of type DOUBLE")               //nolint:staticcheck // as above
	errNoBoolean = errors.New("Expected value to be either true or false") //nolint:staticcheck // as above
)

// parse turns a text into the value of a setting.
func parse(s framework.Setting, text string) (any, error) {
	trimmed := strings.TrimSpace(text)
	structured := strings.HasPrefix(trimmed, "[") || strings.HasPrefix(trimmed, "{")
	switch s.Type {
	case "integer":
		if _, err := strconv.ParseInt(trimmed, 10, 64); err != nil {
			return nil, errNoInteger
		}
		return json.Number(trimmed), nil
	case "number":
		if _, err := strconv.ParseFloat(trimmed, 64); err != nil || !json.Valid([]byte(trimmed)) {
			return nil, errNoNumber
		}
		return json.Number(trimmed), nil
	case "boolean":
		switch strings.ToLower(trimmed) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, errNoBoolean
	case "text":
		if s.Several && strings.HasPrefix(trimmed, "[") {
			return parseJSON(trimmed)
		}
		return text, nil
	case "list":
		if !structured && s.Entry != nil && s.Entry.Type == "text" {
			list := []any{}
			for _, one := range split(text) {
				list = append(list, one)
			}
			return list, nil
		}
		return parseJSON(trimmed)
	case "any":
		if value, err := parseJSON(trimmed); err == nil && structured {
			return value, nil
		}
		return text, nil
	default:
		return parseJSON(trimmed)
	}
}

func parseJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil || d.More() {
		return nil, errors.New("must be JSON")
	}
	return value, nil
}

// put sets a value at a path with dots.
func put(values map[string]any, path string, value any) {
	steps := strings.Split(path, ".")
	for _, step := range steps[:len(steps)-1] {
		below, ok := values[step].(map[string]any)
		if !ok {
			below = map[string]any{}
			values[step] = below
		}
		values = below
	}
	values[steps[len(steps)-1]] = value
}

// get returns the value at a path with dots, or nil.
func get(values map[string]any, path string) any {
	var at any = values
	for step := range strings.SplitSeq(path, ".") {
		below, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = below[step]
	}
	return at
}
