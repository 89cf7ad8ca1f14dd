package connection

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxBodyBytes bounds a document.
	MaxBodyBytes = 1 << 20
	// maxDepth bounds how deep objects and lists are nested in one.
	maxDepth = 40
)

// ErrMalformed says that a document is no JSON object as RFC 8259 has it.
var ErrMalformed = errors.New("the body is not a JSON object")

// Decode reads one JSON object, strictly: a key that stands twice, what follows
// the object, bytes that are no UTF-8, NUL characters and deep nesting are
// errors, all of which are [ErrMalformed]. Numbers keep their digits.
func Decode(body []byte) (map[string]any, error) {
	switch {
	case len(body) > MaxBodyBytes:
		return nil, malformed("it has %d bytes; the limit is %d", len(body), MaxBodyBytes)
	case len(bytes.TrimSpace(body)) == 0:
		return nil, malformed("it is empty")
	case !utf8.Valid(body):
		return nil, malformed("it is not valid UTF-8")
	case bytes.IndexByte(body, 0) >= 0:
		return nil, malformed("it holds a NUL byte")
	}
	if HalfCharacter(body) {
		return nil, malformed("it holds an escape of half a character, such as \\ud800 without its other half")
	}
	// The depth is bounded before anything recursive reads it.
	if err := checkDepth(body); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	value, err := decodeValue(decoder, "")
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("something follows the object")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, malformed("it must be an object in braces")
	}
	return object, nil
}

// HalfCharacter reports that JSON holds an escape of one half of a surrogate pair
// without the other: it stands for no character, and would be kept as another one.
func HalfCharacter(body []byte) bool {
	for i := 0; i+1 < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		if first := escaped(body[i:]); utf16.IsSurrogate(first) {
			if i+6 > len(body) || utf16.DecodeRune(first, escaped(body[i+6:])) == utf8.RuneError {
				return true
			}
			i += 6
		}
		i++ // what is escaped begins no escape
	}
	return false
}

// escaped is the character of the escape of four digits that a text begins with,
// -1 when it begins with none.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func checkDepth(body []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return malformed("it is nested deeper than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// syntax says where a document stops being JSON, without what stands there: it
// may be a secret.
func syntax(decoder *json.Decoder) error {
	return malformed("it is no valid JSON at byte %d", decoder.InputOffset()+1)
}

func decodeValue(decoder *json.Decoder, path string) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, syntax(decoder)
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return decodeObject(decoder, path)
		}
		list := []any{}
		for i := 0; decoder.More(); i++ {
			one, err := decodeValue(decoder, fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		if _, err := decoder.Token(); err != nil {
			return nil, syntax(decoder)
		}
		return list, nil
	case string:
		if bytes.IndexByte([]byte(t), 0) >= 0 {
			return nil, malformed("%s holds a NUL character", where(path))
		}
		return t, nil
	default:
		return t, nil
	}
}

func decodeObject(decoder *json.Decoder, path string) (any, error) {
	object := map[string]any{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, syntax(decoder)
		}
		below := joinPath(path, name)
		if _, twice := object[name]; twice {
			return nil, malformed("the key %s stands twice", shortened(below))
		}
		if bytes.IndexByte([]byte(name), 0) >= 0 {
			return nil, malformed("a key of %s holds a NUL character", where(path))
		}
		if object[name], err = decodeValue(decoder, below); err != nil {
			return nil, err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, syntax(decoder)
	}
	return object, nil
}

func where(path string) string {
	if path == "" {
		return "the body"
	}
	return shortened(path)
}

func shortened(path string) string {
	const most = 80
	if len(path) > most {
		path = path[:most] + "…"
	}
	return fmt.Sprintf("%q", path)
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
