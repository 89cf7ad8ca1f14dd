package cli

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// plainWriter keeps what others wrote from steering the terminal. Provider
// texts come out in errors, events and statuses: control characters and marks of
// writing direction in them become escapes, which mean the same in JSON. Line
// breaks and tabs stay.
type plainWriter struct {
	mu  sync.Mutex
	out io.Writer
	// rest is the begin of a character whose end has not been written yet.
	rest []byte
}

// Write writes p with its control characters escaped.
func (w *plainWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := p
	if len(w.rest) > 0 {
		text = append(w.rest, p...)
	}
	w.rest = nil
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if tail := text[len(text)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				w.rest, text = bytes.Clone(tail), text[:len(text)-i]
			}
			break
		}
	}
	if bytes.ContainsFunc(text, steers) {
		var b bytes.Buffer
		for len(text) > 0 {
			r, size := utf8.DecodeRune(text)
			switch {
			case !steers(r):
				b.Write(text[:size]) // also what is no UTF-8, as it came
			case r > 0xffff:
				high, low := utf16.EncodeRune(r)
				fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
			default:
				fmt.Fprintf(&b, `\u%04x`, r)
			}
			text = text[size:]
		}
		text = b.Bytes()
	}
	if _, err := w.out.Write(text); err != nil {
		return 0, err //nolint:wrapcheck // whose writer this is, is the caller's
	}
	return len(p), nil
}

// flush writes what is left of a character that was never finished.
func (w *plainWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.out.Write(w.rest) // nobody is left to tell
	w.rest = nil
}

// steers reports that a terminal may obey r instead of showing it.
func steers(r rune) bool {
	// Joiners shape letters and emoji; without them some words are written wrong.
	joiner := r == '\u200c' || r == '\u200d'
	return r != '\n' && r != '\t' && !joiner && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
