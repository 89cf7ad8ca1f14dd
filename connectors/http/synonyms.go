package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/weirhq/weir/framework"
)

// synonyms are the names that settings have elsewhere: at the HTTP sink for Kafka
// Connect, and in the flat form of a webhook.
var synonyms = map[string]string{
	"callback.request.url":               "endpoint",
	"callback.request.method":            "method",
	"callback.request.methods":           "method",
	"callback.request.headers":           "headers",
	"fullUrl":                            "endpoint",
	"timeout":                            "step_timeout_seconds",
	"httpMethod":                         "method",
	"headerList":                         "headers",
	"connectionPoolMaxConnectionPerHost": "pool.max_per_host",
	"connectionPoolMaxConnectionTotal":   "pool.max_total",
}

// Canonical puts synonyms under their canonical names.
func (SinkSettings) Canonical(given map[string]any) (map[string]any, error) {
	var errs framework.SettingErrors
	for _, name := range slices.Sorted(maps.Keys(given)) {
		canonical, ok := synonyms[name]
		if !ok {
			continue
		}
		value := given[name]
		delete(given, name)
		if text, is := value.(string); is && canonical == "headers" {
			var err error
			if value, err = headersOf(text); err != nil {
				errs = append(errs, &framework.SettingError{Name: name, Reason: err.Error()})
				continue
			}
		}
		if old, twice := given[canonical]; twice && !reflect.DeepEqual(old, value) {
			errs = append(errs, &framework.SettingError{Name: name, Reason: "and " + canonical + " are the same setting with two values; keep one"})
			continue
		}
		given[canonical] = value
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return given, nil
}

// headersOf reads headers that are written as a JSON object in a text, in order.
func headersOf(text string) ([]any, error) {
	malformed := fmt.Errorf("must be a JSON object in a text, such as {\"Content-Type\":\"application/json\"}")
	list := []any{}
	if strings.TrimSpace(text) == "" {
		return list, nil
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, malformed
		}
		var value string
		if err := decoder.Decode(&value); err != nil {
			return nil, malformed
		}
		list = append(list, map[string]any{"name": name, "value": value})
	}
	if t, err := decoder.Token(); err != nil || t != json.Delim('}') || decoder.More() {
		return nil, malformed
	}
	return list, nil
}
