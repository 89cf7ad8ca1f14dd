package webhook

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/catalog"
)

// single returns the value of a header that must be there exactly once. A
// repeated header is refused: what stands between the sender and us may read
// another one than we do.
func single(h http.Header, name string) (string, error) {
	switch values := h.Values(name); len(values) {
	case 0:
		return "", refuse("a required header is missing")
	case 1:
		return values[0], nil
	default:
		return "", refuse("a required header is repeated")
	}
}

// readSignatureHeader reads one signature header in the scheme's form.
func readSignatureHeader(spec catalog.SignatureSpec, timestamp catalog.Source, value string) (claim, error) {
	switch {
	case spec.Parse == catalog.ParsePairs:
		timeKey := ""
		if timestamp.Kind == "key" {
			timeKey = timestamp.Name
		}
		return readPairs(value, timeKey, spec.VersionKeys)
	case spec.Parse == catalog.ParseWords && len(spec.VersionKeys) > 0:
		return readWords(value, spec.VersionKeys)
	case spec.Parse == catalog.ParseWords:
		var c claim
		for word := range strings.SplitSeq(value, " ") {
			one, err := readWhole(word, spec.Prefix)
			if err != nil || len(c.signatures) == maxSignatures {
				return claim{}, refuse("signature header is malformed")
			}
			c.signatures = append(c.signatures, one.signatures...)
		}
		return c, nil
	default:
		return readWhole(value, spec.Prefix)
	}
}

// readWhole reads "<prefix><signature>".
func readWhole(value, prefix string) (claim, error) {
	text, ok := strings.CutPrefix(value, prefix)
	if !ok {
		return claim{}, refuse("signature header does not have the scheme's prefix")
	}
	return claim{signatures: []signature{{text: text}}}, nil
}

// readPairs reads "t=<time>,v1=<signature>,v1=<signature>,…". Keys of other
// versions are skipped, never tried. timeKey is "" where the time stands elsewhere.
func readPairs(value, timeKey string, versions []string) (claim, error) {
	var c claim
	times := 0
	for part := range strings.SplitSeq(value, ",") {
		key, text, ok := strings.Cut(part, "=")
		if !ok {
			return claim{}, refuse("signature header is malformed")
		}
		switch {
		case timeKey != "" && key == timeKey:
			c.timestamp = text
			times++
		case slices.Contains(versions, key):
			c.signatures = append(c.signatures, signature{key, text})
		}
		if len(c.signatures) > maxSignatures {
			return claim{}, refuse("signature header holds too many signatures")
		}
	}
	if timeKey != "" && times != 1 {
		return claim{}, refuse("signature header does not hold one timestamp")
	}
	if len(c.signatures) == 0 {
		return claim{}, refuse("signature header holds no signature of the scheme's version")
	}
	return c, nil
}

// readWords reads "v1,<signature> v1,<signature> …". Words of other versions
// are skipped, never tried.
func readWords(value string, versions []string) (claim, error) {
	var c claim
	for word := range strings.SplitSeq(value, " ") {
		key, text, ok := strings.Cut(word, ",")
		if !ok {
			return claim{}, refuse("signature header is malformed")
		}
		if slices.Contains(versions, key) {
			c.signatures = append(c.signatures, signature{key, text})
		}
		if len(c.signatures) > maxSignatures {
			return claim{}, refuse("signature header holds too many signatures")
		}
	}
	if len(c.signatures) == 0 {
		return claim{}, refuse("signature header holds no signature of the scheme's version")
	}
	return c, nil
}

// maxTimestampDigits keeps the arithmetic below far from the ends of int64.
const maxTimestampDigits = 17

// checkTimestamp accepts a time as the scheme writes it, at most past before
// and future after now, inclusive and counted in its unit.
func checkTimestamp(text, unit string, now time.Time, past, future time.Duration) error {
	sent, err := readTimestamp(text, unit)
	if err != nil {
		return err
	}
	grain := time.Second
	if unit == "ms" {
		grain = time.Millisecond
	}
	switch age := now.Truncate(grain).Sub(sent); {
	case age > past:
		return refuse("timestamp is too old")
	case age < -future:
		return refuse("timestamp is in the future")
	}
	return nil
}

// readTimestamp reads Unix seconds or milliseconds, in plain digits without
// sign, space or leading zero, or RFC 3339.
func readTimestamp(text, unit string) (time.Time, error) {
	malformed := refuse("timestamp is malformed")
	if unit == "rfc3339" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.Year() < 1970 || at.Year() > 9999 {
			return time.Time{}, malformed
		}
		return at, nil
	}
	if text == "" || len(text) > maxTimestampDigits || text[0] == '0' && text != "0" {
		return time.Time{}, malformed
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return time.Time{}, malformed
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, malformed
	}
	if unit == "ms" {
		return time.UnixMilli(n), nil
	}
	return time.Unix(n, 0), nil
}

// writeTimestamp is the inverse of readTimestamp.
func writeTimestamp(at time.Time, unit string) string {
	switch unit {
	case "ms":
		return strconv.FormatInt(at.UnixMilli(), 10)
	case "rfc3339":
		return at.UTC().Format(time.RFC3339)
	default:
		return strconv.FormatInt(at.Unix(), 10)
	}
}
