package framework

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/weirhq/weir/framework/httpguard"
)

// redactor takes secrets out of texts that leave a connector.
type redactor struct {
	// secrets are looked for in every spelling. Most connectors never say anything, so
	// that the spellings are made when a text is to be cleaned.
	secrets func() *strings.Replacer
}

// minRedacted is the length below which a secret is not looked for: shorter
// ones would blank ordinary words. A short secret is warned about at the start.
const minRedacted = 6

func newRedactor(secrets []string) redactor {
	return redactor{sync.OnceValue(func() *strings.Replacer { return replacerOf(secrets) })}
}

func replacerOf(secrets []string) *strings.Replacer {
	var all []string
	for _, s := range secrets {
		for _, spelling := range spellings(s) {
			if len(spelling) >= minRedacted {
				all = append(all, spelling)
			}
		}
	}
	// The longest first: a secret may begin with another one.
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, spelling := range slices.Compact(all) {
		pairs = append(pairs, spelling, "***")
	}
	return strings.NewReplacer(pairs...)
}

// spellings returns secret in the forms in which a program comes upon it: as it
// is, in a URL, quoted, in JSON, and in base64, also in the middle of it, where
// "user:password" goes.
func spellings(secret string) []string {
	all := []string{
		secret, strings.TrimPrefix(secret, "whsec_"), url.QueryEscape(secret), url.PathEscape(secret), (&url.URL{Path: secret}).EscapedPath(),
	}
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	quoted := inner(strconv.Quote(secret))
	all = append(all, quoted, inner(strconv.Quote(quoted))) // twice: an error within an error
	if encoded, err := json.Marshal(secret); err == nil {
		all = append(all, inner(string(encoded)))
	}
	if len(secret) < minRedacted {
		return all
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			// The characters that hold bits of a neighbor are left out.
			encoded := encoding.EncodeToString(append(make([]byte, before), secret...))
			all = append(all, encoded[(before*8+5)/6:(before+len(secret))*8/6])
		}
	}
	return all
}

func (r redactor) text(s string) string {
	// Settings first: their spellings are looked for whole.
	if r.secrets != nil {
		s = r.secrets().Replace(s)
	}
	// net/http puts whole URLs into its errors.
	return httpguard.Shown(s)
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
