package kafkaconnect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/weirhq/weir/framework/connection"
)

// readBody returns the body of a request, which must be one JSON value.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, errorf(http.StatusBadRequest, "the request has no body; send a JSON object")
	}
	if !utf8.Valid(body) {
		return nil, errorf(http.StatusBadRequest, "the request body is not UTF-8")
	}
	if connection.HalfCharacter(body) {
		return nil, errorf(http.StatusBadRequest, "the request body holds an escape of half a character, such as \\ud800 without its other half")
	}
	if !json.Valid(body) {
		return nil, errorf(http.StatusBadRequest, "the request body is not JSON, or more than one value")
	}
	return body, nil
}

// member is one member of an object.
type member struct {
	name  string
	value json.RawMessage
}

// members returns the members of a JSON object in order. A name that is there
// twice is an error: which value counts would be anybody's guess.
func members(where string, raw []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	t, err := d.Token()
	if err != nil || t != json.Delim('{') {
		return nil, errorf(http.StatusBadRequest, "%s must be a JSON object", where)
	}
	var list []member
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errorf(http.StatusBadRequest, "%s is not JSON", where)
		}
		name, _ := key.(string)
		if seen[name] {
			return nil, errorf(http.StatusBadRequest, "%s has the member %q twice", where, name)
		}
		seen[name] = true
		m := member{name: name}
		if err := d.Decode(&m.value); err != nil {
			return nil, errorf(http.StatusBadRequest, "%s is not JSON", where)
		}
		list = append(list, m)
	}
	return list, nil
}

// texts reads an object of texts, as the configuration of a connector is: numbers
// and booleans stand for their text, as Kafka Connect takes them. A null is nil.
func texts(where string, raw []byte) (map[string]*string, error) {
	list, err := members(where, raw)
	if err != nil {
		return nil, err
	}
	out := map[string]*string{}
	for _, m := range list {
		text := string(m.value)
		switch m.value[0] {
		case 'n':
			out[m.name] = nil
			continue
		case '{', '[':
			return nil, errorf(http.StatusBadRequest, "%s: the value of %q must be text; write JSON as a text with escaped quotes", where, m.name)
		case '"':
			text = ""
			if err := json.Unmarshal(m.value, &text); err != nil {
				return nil, errorf(http.StatusBadRequest, "%s: the value of %q is no text", where, m.name)
			}
		}
		if strings.ContainsRune(text, 0) || strings.ContainsRune(m.name, 0) {
			return nil, errorf(http.StatusBadRequest, "%s: %q holds a NUL character", where, m.name)
		}
		out[m.name] = &text
	}
	return out, nil
}

// configOf reads the configuration of a connector. A null is as if it were not there.
func configOf(where string, raw []byte) (map[string]string, error) {
	given, err := texts(where, raw)
	if err != nil {
		return nil, err
	}
	config := map[string]string{}
	for key, value := range given {
		if value != nil {
			config[key] = *value
		}
	}
	return config, nil
}

// newConnector is the body of a request for a new connector.
type newConnector struct {
	name   string
	config map[string]string
	state  State
}

func readNewConnector(raw []byte) (newConnector, error) {
	n := newConnector{config: map[string]string{}, state: StateRunning}
	list, err := members("the request body", raw)
	if err != nil {
		return n, err
	}
	for _, m := range list {
		var text string
		switch m.name {
		case "name":
			if json.Unmarshal(m.value, &text) != nil {
				return n, errorf(http.StatusBadRequest, `the member "name" must be text`)
			}
			n.name = strings.TrimSpace(text)
		case "config":
			if n.config, err = configOf(`the member "config"`, m.value); err != nil {
				return n, err
			}
		case "initial_state":
			if string(m.value) == "null" {
				continue
			}
			if json.Unmarshal(m.value, &text) != nil {
				return n, errorf(http.StatusBadRequest, `the member "initial_state" must be text`)
			}
			state, ok := map[string]State{"RUNNING": StateRunning, "PAUSED": StatePaused, "STOPPED": StateStopped}[strings.ToUpper(text)]
			if !ok {
				return n, errorf(http.StatusBadRequest, "initial_state %q is unknown; use RUNNING, PAUSED or STOPPED", text)
			}
			n.state = state
		default:
			return n, errorf(http.StatusBadRequest, "the member %q is unknown; a connector has name, config and initial_state", m.name)
		}
	}
	if n.name == "" {
		n.name = strings.TrimSpace(n.config[keyName])
	}
	return n, nil
}

// whole reads an integer that may be written as a text.
func whole(raw json.RawMessage) (int64, error) {
	var n int64
	if err := json.Unmarshal(raw, &n); err == nil && string(raw) != "null" {
		return n, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if err := json.Unmarshal([]byte(text), &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s is no whole number", raw)
}
