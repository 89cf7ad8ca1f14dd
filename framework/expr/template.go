package expr

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Template is text with expressions in it, between {{ and }}. It is safe for
// concurrent use.
type Template struct{ parts []part }

// part is a text or an expression.
type part struct {
	text       string
	expression *Expression
}

// ParseTemplate reads a template. A text without {{ stands for itself.
func ParseTemplate(source string) (*Template, error) {
	t := &Template{}
	for rest := source; rest != ""; {
		text, after, found := strings.Cut(rest, "{{")
		if text != "" {
			t.parts = append(t.parts, part{text: text})
		}
		if !found {
			break
		}
		expression, tail, err := cutExpression(after)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, part{expression: expression})
		rest = tail
	}
	return t, nil
}

// cutExpression reads an expression and the }} after it. An expression may hold
// }} itself, so the first one after which it compiles ends it.
func cutExpression(s string) (*Expression, string, error) {
	var first error
	for at := 0; ; {
		i := strings.Index(s[at:], "}}")
		if i < 0 {
			if first == nil {
				first = errors.New("is never closed; write }} after the expression")
			}
			return nil, "", fmt.Errorf("{{ … }} %w", first)
		}
		at += i
		expression, err := Compile(strings.TrimSpace(s[:at]))
		if err == nil {
			return expression, s[at+2:], nil
		}
		if first == nil {
			first = err
		}
		at++
	}
}

// Constant returns the template's text if there is no expression in it.
func (t *Template) Constant() (string, bool) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression != nil {
			return "", false
		}
		b.WriteString(p.text)
	}
	return b.String(), true
}

// Outside returns the text with placeholder in place of each expression.
func (t *Template) Outside(placeholder string) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression != nil {
			b.WriteString(placeholder)
		}
		b.WriteString(p.text)
	}
	return b.String()
}

// Whole evaluates a template that is nothing but one expression, and gives its
// value. ok is false for any other template.
func (t *Template) Whole(ctx context.Context, in *Document) (v Value, ok bool, err error) {
	if len(t.parts) != 1 || t.parts[0].expression == nil {
		return Value{}, false, nil
	}
	v, err = t.parts[0].expression.One(ctx, in)
	return v, true, err
}

// Text evaluates the template. insert writes the value of the expression that
// stands after the text before it.
func (t *Template) Text(ctx context.Context, in *Document, insert func(before string, v Value) string) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := p.expression.One(ctx, in)
		if err != nil {
			return "", err
		}
		b.WriteString(insert(b.String(), v))
	}
	return b.String(), nil
}
