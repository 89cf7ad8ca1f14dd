package expr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// Limits of an expression.
const (
	// MaxSource bounds an expression's text.
	MaxSource = 16 << 10
	// MaxValues bounds how many values one evaluation gives.
	MaxValues = 100_000
	// MaxBytes bounds the values of one evaluation together, encoded.
	MaxBytes = 64 << 20
	// MaxTime bounds one evaluation.
	MaxTime = 5 * time.Second
)

// ErrLimit says that an expression took too long or gave too much.
var ErrLimit = errors.New("expression is over its limit")

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct {
	source string
	code   *gojq.Code
	// paths gives the paths of what code selects, and fails where it computes.
	paths *gojq.Code
}

// Compile compiles an expression. Its error says what is wrong with it.
func Compile(source string) (*Expression, error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("is longer than %d bytes", MaxSource)
	}
	if strings.TrimSpace(source) == "" {
		return nil, errors.New("is empty; \".\" stands for the whole input")
	}
	code, err := compile(source)
	if err != nil {
		return nil, fmt.Errorf("is no jq expression: %w", err)
	}
	// On a line of its own, since the source may end in a comment.
	paths, err := compile("path(" + source + "\n)")
	if err != nil {
		paths = nil // definitions and the like: they compute
	}
	return &Expression{source, code, paths}, nil
}

func compile(source string) (*gojq.Code, error) {
	query, err := gojq.Parse(source)
	if err != nil {
		return nil, err
	}
	return gojq.Compile(query)
}

// String returns the expression's text.
func (e *Expression) String() string { return e.source }

// All returns every value that the expression gives for the document. An error
// value of the expression ends it.
func (e *Expression) All(ctx context.Context, in *Document) ([]Value, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	if in.raw != nil && e.paths != nil {
		if values, ok := e.selected(ctx, in); ok {
			return values, nil
		}
	}
	var values []Value
	size := 0
	for iter := e.code.RunWithContext(ctx, in.decoded); ; {
		v, more := iter.Next()
		if !more {
			return values, nil
		}
		if err, failed := v.(error); failed {
			return values, e.failure(ctx, err)
		}
		value := Value{decoded: v}
		encoded, err := value.JSON()
		if err != nil {
			return nil, fmt.Errorf("expression %q: %w", e.source, err)
		}
		if size += len(encoded); size > MaxBytes || len(values) == MaxValues {
			return nil, e.tooMuch()
		}
		values = append(values, value)
	}
}

// One returns the first value, or null when there is none.
func (e *Expression) One(ctx context.Context, in *Document) (Value, error) {
	values, err := e.All(ctx, in)
	if err != nil || len(values) == 0 {
		return Value{}, err
	}
	return values[0], nil
}

// selected returns the values of an expression that selects, as they stand in
// the document. ok is false for one that computes.
func (e *Expression) selected(ctx context.Context, in *Document) (values []Value, ok bool) {
	size := 0
	for iter := e.paths.RunWithContext(ctx, in.decoded); ; {
		v, more := iter.Next()
		if !more {
			return values, true
		}
		path, ok := v.([]any)
		if !ok || len(values) == MaxValues {
			return nil, false
		}
		raw, decoded, ok := in.at(path)
		if !ok {
			return nil, false
		}
		if size += len(raw); size > MaxBytes {
			return nil, false
		}
		values = append(values, Value{raw: raw, decoded: decoded})
	}
}

func (e *Expression) failure(ctx context.Context, err error) error {
	var halted *gojq.HaltError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("expression %q: %w: it took longer than %s", e.source, ErrLimit, MaxTime)
	case errors.As(err, &halted) && halted.Value() == nil:
		return nil
	}
	return fmt.Errorf("expression %q: %w", e.source, err)
}

func (e *Expression) tooMuch() error {
	return fmt.Errorf("expression %q: %w: it gives more than %d values or %d bytes", e.source, ErrLimit, MaxValues, MaxBytes)
}

// Value is one value that an expression gave.
type Value struct {
	// raw are the value's own bytes where it was selected.
	raw     json.RawMessage
	decoded any
}

// JSON returns the value's bytes: as they came where it was selected, else
// encoded.
func (v Value) JSON() (json.RawMessage, error) {
	if v.raw != nil {
		return v.raw, nil
	}
	return gojq.Marshal(v.decoded)
}

// Null reports whether the value is null.
func (v Value) Null() bool { return v.decoded == nil }

// True reports what jq takes for true: everything but false and null.
func (v Value) True() bool {
	truth, is := v.decoded.(bool)
	return v.decoded != nil && (!is || truth)
}

// Text returns a text as it is, null as "", and anything else as JSON. Numbers
// keep their digits.
func (v Value) Text() string {
	switch decoded := v.decoded.(type) {
	case nil:
		return ""
	case string:
		return decoded
	case json.Number:
		return decoded.String()
	}
	encoded, err := v.JSON()
	if err != nil {
		return ""
	}
	return string(encoded)
}

// Scalar reports whether the value is a text, number or truth value.
func (v Value) Scalar() bool {
	switch v.decoded.(type) {
	case nil, []any, map[string]any:
		return false
	}
	return true
}

// Document returns the value as the input of another expression.
func (v Value) Document() *Document {
	return &Document{raw: v.raw, decoded: v.decoded}
}
