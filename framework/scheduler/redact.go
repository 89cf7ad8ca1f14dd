package scheduler

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/weirhq/weir/framework"
)

// maxErrorBytes bounds an error's text in a run.
const maxErrorBytes = 4 << 10

var (
	// The provider's client leaves queries out of its errors. This is for errors
	// that come from elsewhere: a connector's own client, or url.Parse.
	urlSecret = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]{1,15}://)(?:[^\s/?#"'<>]*@)?([^\s?#"'<>]*)([?#][^\s"'<>]*)?`)
	// credential finds what follows the name of an authentication scheme.
	credential = regexp.MustCompile(`(?i)\b(bearer|basic)(\s+)[a-z0-9._~+/=-]{6,}`)
)

// redact cuts user names, passwords, queries and fragments out of the URLs in
// s, and credentials behind an authentication scheme.
func redact(s string) string {
	if strings.Contains(s, "://") {
		s = urlSecret.ReplaceAllStringFunc(s, func(found string) string {
			parts := urlSecret.FindStringSubmatch(found)
			if parts[3] != "" {
				return parts[1] + parts[2] + "?…"
			}
			return parts[1] + parts[2]
		})
	}
	return credential.ReplaceAllString(s, "$1$2…")
}

// renew says what to do about a failure of the class auth.
const renew = "; the provider refuses the credentials, so nothing is tried before the next tick: replace them in the settings of the connection, then run weir sync"

// describe returns an error's text and stack as they may be stored and shown,
// with what to do where only the operator can mend it.
func describe(err error) (text, stack string) {
	text = redact(strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "�"))
	if len(text) > maxErrorBytes {
		text = text[:maxErrorBytes]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
		text += "…"
	}
	if classOf(err) == framework.ClassAuth {
		text += renew
	}
	if p, ok := errors.AsType[*framework.PanicError](err); ok {
		stack = redact(p.Stack)
	}
	return text, stack
}
