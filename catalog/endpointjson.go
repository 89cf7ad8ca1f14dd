package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// durationFields are the fields of an endpoint's JSON form that hold a
// duration. The canonical form has nanoseconds there.
var durationFields = []string{"deadline", "tolerance", "future_tolerance", "leeway"}

// ParseEndpoint decodes an endpoint that was written as configuration: the JSON
// form of [EndpointSpec], with durations as nanoseconds or in Go's notation
// ("90s", "5m"). Unknown fields are refused. What was decoded is not validated;
// see [EndpointSpec.Problems].
func ParseEndpoint(b []byte) (EndpointSpec, error) {
	var tree any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return EndpointSpec{}, fmt.Errorf("decode endpoint: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return EndpointSpec{}, errors.New("decode endpoint: something stands after it")
	}
	if err := readDurations(tree); err != nil {
		return EndpointSpec{}, fmt.Errorf("decode endpoint: %w", err)
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return EndpointSpec{}, fmt.Errorf("decode endpoint: %w", err)
	}
	var spec EndpointSpec
	d = json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&spec); err != nil {
		return EndpointSpec{}, fmt.Errorf("decode endpoint: %w", err)
	}
	return spec, nil
}

// readDurations turns the texts of duration fields into nanoseconds.
func readDurations(tree any) error {
	var errs []error
	switch v := tree.(type) {
	case map[string]any:
		for name, value := range v {
			text, isText := value.(string)
			if !isText || !slices.Contains(durationFields, name) {
				errs = append(errs, readDurations(value))
				continue
			}
			d, err := time.ParseDuration(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %q is no duration; write for example \"5m\"", name, text))
				continue
			}
			v[name] = int64(d)
		}
	case []any:
		for _, value := range v {
			errs = append(errs, readDurations(value))
		}
	}
	return errors.Join(errs...)
}
