package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// moment is a time as a page shows it: in words, with the exact time beside.
type moment struct {
	At    time.Time
	Words string
}

// relative says how far t is from now: "just now", "3 min ago", "in 12 min".
func relative(t, now time.Time) string {
	d := now.Sub(t)
	if d < 0 {
		if d > -time.Second {
			return "now"
		}
		return "in " + span(-d)
	}
	if d < 2*time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// span says a length of time in its largest unit that is not below one.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	default:
		return strconv.Itoa(int(d/(24*time.Hour))) + " days"
	}
}

// took says how long something lasted, with the precision that matters.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// exact is a time for machines and for the title of a relative one.
func exact(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// countWords says a count with its noun: "1 stream", "2 streams".
func countWords(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(int64(n)) + " " + noun + "s"
}

// thousands groups digits with a thin space, which no locale reads as a decimal point.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	var out []string
	for len(text) > 3 {
		out = append([]string{text[len(text)-3:]}, out...)
		text = text[:len(text)-3]
	}
	return sign + strings.Join(append([]string{text}, out...), "\u202f")
}

// sizeWords says a number of bytes in its largest unit that is not below one.
func sizeWords(n int64) string {
	switch {
	case n < 1000:
		return thousands(n) + " B"
	case n < 999_950:
		return strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64) + " kB"
	default:
		return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
	}
}

// visible shows what would hide or turn around the text next to it: control
// characters and the marks of writing direction become escapes. Line breaks and
// tabs stay.
func visible(s string) string {
	if !strings.ContainsFunc(s, isHidden) && !strings.Contains(s, "\uFFFD") {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	var b strings.Builder
	for _, r := range s {
		if isHidden(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isHidden(r rune) bool {
	// Joiners shape letters and emoji; without them some words are written wrong.
	joiner := r == '\u200c' || r == '\u200d'
	return r != '\n' && r != '\t' && !joiner && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// pretty lays out JSON for reading and changes nothing else: digits, order and
// escapes stay. What is longer than most bytes is cut.
func pretty(raw []byte, most int) (text string, cut bool) {
	if len(raw) > most {
		return visible(strings.ToValidUTF8(string(raw[:most]), "")) + "…", true
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return visible(string(raw)), false
	}
	return visible(b.String()), false
}
