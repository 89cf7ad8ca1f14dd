package httpguard

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// address finds a URL within a text: its scheme, authority, path, query and
// fragment.
var address = regexp.MustCompile(`(?i)\b(https?://)([^\s"'<>/?#]*)([^\s"'<>?#]*)(\?[^\s"'<>#]*)?(#[^\s"'<>]*)?`)

// Shown returns a text, such as an error or a URL, in which the addresses may be
// shown and logged: without credentials, query and fragment, and with what looks
// like a token in the path cut to its first characters. Many services write the
// secret of a hook there.
//
// It knows tokens by their looks. A secret that is a setting is better a
// framework.Secret, which is never shown at all.
func Shown(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return address.ReplaceAllStringFunc(text, func(found string) string {
		part := address.FindStringSubmatch(found)
		host := part[2]
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			host = "***" + host[at:]
		}
		shown := part[1] + host + ShownPath(part[3])
		if part[4] != "" {
			shown += "?***"
		}
		if part[5] != "" {
			shown += "#***"
		}
		return shown
	})
}

// ShownPath returns the path of a URL as [Shown] does.
func ShownPath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		bare := strings.TrimRight(s, ":;,.)]}")
		if looksSecret(bare) {
			segments[i] = bare[:shownStart] + "***" + s[len(bare):]
		}
	}
	return strings.Join(segments, "/")
}

const (
	// shownStart is how much of a token is shown, so that two can be told apart.
	shownStart = 4
	// longRun is a number of letters and digits in a row that no word has, when
	// both are among them; longWord is one that no word has at all.
	longRun, longWord = 16, 25
	// longMixed is the length of what has capitals, small letters and digits, or so
	// many capitals among small letters as no name of words has.
	longMixed, manyCapitals = 20, 6
)

// uuid is a UUID: as often a key as a name.
var uuid = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// looksSecret reports that a segment of a path is no word, number or name.
func looksSecret(s string) bool {
	if len(s) < longRun {
		return false
	}
	var upper, lower, digits bool
	capitals := 0
	var run, runDigits, runLetters int
	for _, c := range s {
		letter := unicode.IsLetter(c)
		digit := unicode.IsDigit(c)
		if unicode.IsUpper(c) {
			capitals++
		}
		upper, lower, digits = upper || unicode.IsUpper(c), lower || unicode.IsLower(c), digits || digit
		if !letter && !digit {
			run, runDigits, runLetters = 0, 0, 0
			continue
		}
		run++
		if digit {
			runDigits++
		} else {
			runLetters++
		}
		if run >= longWord && runLetters > 0 || run >= longRun && runDigits > 0 && runLetters > 0 {
			return true
		}
	}
	return uuid.MatchString(s) || len(s) >= longMixed && upper && lower && (digits || capitals >= manyCapitals)
}

// ShownAddress returns the text of a setting that holds one URL, or a template of
// one, as it may be shown: what looks like a secret in it is cut, in its authority,
// its path and its query, and all else stays, so that the URL is known again. What
// stands elsewhere, such as ${NAME} and {{ .name }}, is no secret. A text without
// one comes back as it is.
func ShownAddress(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return text
	}
	rest, fragment, hasFragment := strings.Cut(rest, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	host, path, hasPath := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 && !standsElsewhere(host[:at]) {
		host = hiddenPart + host[at:]
	}
	shown := scheme + "://" + host
	if hasPath {
		shown += "/" + shownParts(path, "/", ShownPath)
	}
	if hasQuery {
		shown += "?" + shownParts(query, "&", shownParameter)
	}
	if hasFragment {
		shown += "#" + shownParts(fragment, "/", ShownPath)
	}
	return shown
}

const hiddenPart = "***"

func standsElsewhere(text string) bool {
	return strings.Contains(text, "${") || strings.Contains(text, "{{")
}

func shownParts(text, separator string, show func(string) string) string {
	parts := strings.Split(text, separator)
	for i, part := range parts {
		if !standsElsewhere(part) {
			parts[i] = show(part)
		}
	}
	return strings.Join(parts, separator)
}

// secretNames are the ends of the names of parameters that hold secrets.
var secretNames = []string{"apikey", "accesskey", "secretkey", "authkey", "token", "secret", "sig", "signature", "password", "passwd", "auth", "credential"}

func shownParameter(pair string) string {
	name, value, found := strings.Cut(pair, "=")
	if !found || value == "" {
		return pair
	}
	plain := strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name))
	named := plain == "key" || slices.ContainsFunc(secretNames, func(end string) bool { return strings.HasSuffix(plain, end) })
	if decoded, err := url.QueryUnescape(value); named || err != nil || looksSecret(decoded) {
		return name + "=" + hiddenPart
	}
	return pair
}
