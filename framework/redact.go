package framework

import (
	"errors"
	"regexp"
	"strings"
)

// urlQuery finds the query of a URL within a text. Queries may hold secrets,
// and net/http puts whole URLs into its errors.
var urlQuery = regexp.MustCompile(`(https?://[^\s"'<>?]*)\?[^\s"'<>]*`)

// urlUser finds credentials in a URL within a text.
var urlUser = regexp.MustCompile(`(https?://)[^\s"'<>/@]*@`)

// redactor takes secrets out of texts that leave a connector.
type redactor struct{ secrets *strings.Replacer }

// minRedacted is the length below which a secret is not looked for: shorter
// ones would blank ordinary words. A short secret is warned about at the start.
const minRedacted = 6

func newRedactor(secrets []string) redactor {
	var pairs []string
	for _, s := range secrets {
		if len(s) >= minRedacted {
			pairs = append(pairs, s, "***")
		}
	}
	return redactor{strings.NewReplacer(pairs...)}
}

func (r redactor) text(s string) string {
	s = urlUser.ReplaceAllString(s, "$1***@")
	s = urlQuery.ReplaceAllString(s, "$1?***")
	if r.secrets != nil {
		s = r.secrets.Replace(s)
	}
	return s
}

func (r redactor) err(err error) error {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*PanicError](err); ok {
		p.Value, p.Stack = r.text(p.Value), r.text(p.Stack)
	}
	if clean := r.text(err.Error()); clean != err.Error() {
		return &redactedError{clean, err}
	}
	return err
}

// redactedError shows a cleaned text and keeps the error for errors.Is and As.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }
