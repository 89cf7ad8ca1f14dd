package framework

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// Progress tells how far an action has got: percent from 0 to 100, and a message
// for people, "" for none. It never blocks for long and may be called as often as
// is handy: calls that follow each other closely are made one. After the action
// has returned it does nothing.
type Progress func(percent int, message string)

// Action binds an action to the function that carries it out. Its context ends at
// the action's timeout, when the run is canceled, and when the process stops. An
// error of it ends the run; nothing is tried again by itself.
func Action[In, Out any](action catalog.TypedAction[In, Out], fn func(ctx context.Context, in In, progress Progress) (Out, error)) Route {
	return Route{
		action: action.Key(),
		checkInput: func(in ActionInput) error {
			_, err := DecodeInput[In](in)
			return err
		},
		act: func(ctx context.Context, in ActionInput, progress Progress) ([]byte, error) {
			if fn == nil {
				return nil, Permanent(fmt.Errorf("route of action %q is nil", action.Key()))
			}
			decoded, err := DecodeInput[In](in)
			if err != nil {
				return nil, err
			}
			out, err := fn(ctx, decoded, progress)
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			encoder := json.NewEncoder(&b)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(out); err != nil {
				return nil, Permanent(fmt.Errorf("encode the output of action %q: %w", action.Key(), err))
			}
			return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
		},
	}
}

// ActionInput is the input of an action as a caller sent it.
type ActionInput struct {
	// JSON is one JSON value; empty means {}.
	JSON []byte
	// Form says that the values come from a form or a query, where everything is
	// text: a number may then stand in quotes, and one value for a list.
	Form bool
}

// InputErrors are all errors of an action's input.
type InputErrors []*SettingError

// Error lists every error, one a line.
func (e InputErrors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = fmt.Sprintf("input %q %s", one.Name, one.Reason)
	}
	return strings.Join(lines, "\n")
}

// ErrInput says that the input of an action is not what it takes.
var ErrInput = errors.New("the input is not valid")

// DecodeInput decodes the input of an action strictly: what the type does not name
// is an error, which wraps [ErrInput].
func DecodeInput[In any](in ActionInput) (decoded In, err error) {
	raw := in.JSON
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	if !json.Valid(raw) {
		return decoded, inputError("it is no JSON")
	}
	t := reflect.TypeFor[In]()
	if t.Kind() != reflect.Struct || shapeOf(t) != shapeStruct {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&decoded); err != nil {
			return decoded, inputError(err.Error())
		}
		return decoded, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var given map[string]any
	if err := decoder.Decode(&given); err != nil {
		return decoded, inputError("it must be a JSON object")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return decoded, inputError("something stands after it")
	}
	if in.Form {
		given, _ = fromForm(given, t).(map[string]any)
	}
	err = decodeSettings(given, &decoded, nil)
	if faults, ok := errors.AsType[SettingErrors](err); ok {
		return decoded, Permanent(fmt.Errorf("%w: %w", ErrInput, InputErrors(faults)))
	}
	if err != nil {
		return decoded, inputError(err.Error())
	}
	return decoded, nil
}

func inputError(reason string) error { return Permanent(fmt.Errorf("%w: %s", ErrInput, reason)) }

// fromForm gives the texts of a form the types that t asks for, where they can be
// read so. What cannot be read stays text, which the decoder then refuses.
func fromForm(value any, t reflect.Type) any {
	switch shapeOf(t) {
	case shapeStruct:
		given, ok := value.(map[string]any)
		if !ok {
			return value
		}
		for _, f := range settingFields(t) {
			if one, ok := given[f.name]; ok {
				given[f.name] = fromForm(one, f.kind)
			}
		}
		return given
	case shapePointer:
		return fromForm(value, t.Elem())
	case shapeList:
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		list = slices.Clone(list)
		for i, one := range list {
			list[i] = fromForm(one, t.Elem())
		}
		return list
	case shapeMap, shapeLeaf:
	}
	text, ok := value.(string)
	if !ok {
		return value
	}
	switch t.Kind() {
	case reflect.Bool:
		if b, err := strconv.ParseBool(text); err == nil || text == "on" {
			return b || text == "on"
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		if json.Valid([]byte(text)) {
			return json.Number(text)
		}
	default:
	}
	return value
}

// Actions returns the keys of the declared actions.
func (b *Binding) Actions() []string {
	keys := make([]string, 0, len(b.connector.Actions))
	for _, a := range b.connector.Actions {
		keys = append(keys, a.Key())
	}
	return keys
}

// CheckInput returns nil when the action takes the input, else an error that wraps
// [ErrInput], or [ErrNoRoute].
func (b *Binding) CheckInput(action string, in ActionInput) error {
	route, ok := b.actions[action]
	if !ok {
		return fmt.Errorf("action %q: %w", action, ErrNoRoute)
	}
	return b.redact.err(route.checkInput(in))
}

// Act carries an action out and returns its output as JSON. It may be left behind
// as a page is, see [Binding.Page].
func (b *Binding) Act(ctx context.Context, action string, in ActionInput, progress Progress) ([]byte, error) {
	route, ok := b.actions[action]
	if !ok {
		return nil, fmt.Errorf("action %q: %w", action, ErrNoRoute)
	}
	told := func(percent int, message string) {
		if progress != nil {
			progress(percent, b.redact.text(message))
		}
	}
	out, err := contain(ctx, &b.abandoned, func(ctx context.Context) ([]byte, error) { return route.act(ctx, in, told) })
	if err != nil {
		return nil, b.redact.err(err)
	}
	// A secret has no place in what everybody with the token of a trigger may read.
	if clean := b.redact.text(string(out)); clean != string(out) {
		if !json.Valid([]byte(clean)) {
			return nil, Permanent(fmt.Errorf("the output of action %q holds a secret; leave it out", action))
		}
		out = []byte(clean)
	}
	return out, nil
}

// ActionSchemas returns what an action takes and gives as JSON Schemas. ok is
// false for an action that the connector does not declare.
func (p Plugin) ActionSchemas(key string) (input, output map[string]any, ok bool) {
	for _, a := range p.connector.Actions {
		if d := a.Declaration(); d.Key == key {
			return typeSchema(d.In), typeSchema(d.Out), true
		}
	}
	return nil, nil, false
}

func typeSchema(t reflect.Type) map[string]any {
	schema := describeType(t, 0).schema()
	schema["$schema"] = schemaDialect
	return schema
}
