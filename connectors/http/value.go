package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weirhq/weir/framework/expr"
)

// expression is a setting that holds a jq expression.
type expression struct{ *expr.Expression }

// UnmarshalJSON compiles the expression.
func (e *expression) UnmarshalJSON(b []byte) error {
	var source string
	if json.Unmarshal(b, &source) != nil {
		return errors.New("must be text: a jq expression such as .data[]")
	}
	compiled, err := expr.Compile(source)
	if err != nil {
		return err
	}
	e.Expression = compiled
	return nil
}

// SettingType says that the expression is written as text.
func (expression) SettingType() string { return "text" }

// given reports whether the expression was set.
func (e expression) given() bool { return e.Expression != nil }

// expressions is a setting that holds one expression or a list of them.
type expressions []expression

// UnmarshalJSON accepts a text or a list of texts.
func (e *expressions) UnmarshalJSON(b []byte) error {
	var one expression
	if strings.HasPrefix(string(b), `"`) {
		if err := one.UnmarshalJSON(b); err != nil {
			return err
		}
		*e = expressions{one}
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil {
		return errors.New("must be a jq expression or a list of them")
	}
	for i, raw := range list {
		var one expression
		if err := one.UnmarshalJSON(raw); err != nil {
			return fmt.Errorf("has a wrong entry [%d]: %w", i, err)
		}
		*e = append(*e, one)
	}
	return nil
}

// SettingType says that the expressions are written as text.
func (expressions) SettingType() string { return "text" }

// template is a setting that holds text with expressions between {{ and }}.
type template struct{ *expr.Template }

// UnmarshalJSON reads the template. Numbers and truth values stand for
// themselves.
func (t *template) UnmarshalJSON(b []byte) error {
	var source string
	var scalar any
	if json.Unmarshal(b, &source) != nil {
		if err := json.Unmarshal(b, &scalar); err != nil || scalar == nil {
			return errors.New("must be text")
		}
		switch scalar.(type) {
		case []any, map[string]any:
			return errors.New("must be text")
		}
		source = string(b)
	}
	parsed, err := expr.ParseTemplate(source)
	if err != nil {
		return err
	}
	t.Template = parsed
	return nil
}

// SettingType says that the template is written as text.
func (template) SettingType() string { return "text" }

// given reports whether the template was set.
func (t template) given() bool { return t.Template != nil }
