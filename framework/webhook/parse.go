package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"
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

// readWhole reads "<prefix><signature>".
func readWhole(value, prefix string) (claim, error) {
	signature, ok := strings.CutPrefix(value, prefix)
	if !ok {
		return claim{}, refuse("signature header does not have the scheme's prefix")
	}
	return claim{signatures: []string{signature}}, nil
}

// readPairs reads "t=<time>,v1=<signature>,v1=<signature>,…". Keys of other
// versions are skipped, never tried.
func readPairs(value, timeKey, version string) (claim, error) {
	var c claim
	times := 0
	for part := range strings.SplitSeq(value, ",") {
		key, text, ok := strings.Cut(part, "=")
		if !ok {
			return claim{}, refuse("signature header is malformed")
		}
		switch key {
		case timeKey:
			c.timestamp = text
			times++
		case version:
			c.signatures = append(c.signatures, text)
		}
		if len(c.signatures) > maxSignatures {
			return claim{}, refuse("signature header holds too many signatures")
		}
	}
	if times != 1 {
		return claim{}, refuse("signature header does not hold one timestamp")
	}
	if len(c.signatures) == 0 {
		return claim{}, refuse("signature header holds no signature of the scheme's version")
	}
	return c, nil
}

// readWords reads "v1,<signature> v1,<signature> …". Words of other versions
// are skipped, never tried.
func readWords(value, version string) (claim, error) {
	var c claim
	for word := range strings.SplitSeq(value, " ") {
		key, text, ok := strings.Cut(word, ",")
		if !ok {
			return claim{}, refuse("signature header is malformed")
		}
		if key == version {
			c.signatures = append(c.signatures, text)
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

// checkTimestamp accepts Unix seconds as senders write them, in plain digits
// without sign, space or leading zero, within tolerance of now either way.
func checkTimestamp(text string, now time.Time, tolerance time.Duration) error {
	if text == "" || len(text) > maxTimestampDigits || text[0] == '0' && text != "0" {
		return refuse("timestamp is malformed")
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return refuse("timestamp is malformed")
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return refuse("timestamp is malformed")
	}
	allowed := int64(tolerance / time.Second)
	switch age := now.Unix() - seconds; {
	case age > allowed:
		return refuse("timestamp is too old")
	case age < -allowed:
		return refuse("timestamp is in the future")
	}
	return nil
}
