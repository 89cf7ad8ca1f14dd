package catalogcheck

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weirhq/weir/catalog"
)

const (
	// tabWidth is how wide a tab is drawn.
	tabWidth = 4
	// frameWidth bounds a drawn line of source, so that a generated line of
	// thousands of characters does not bury the finding.
	frameWidth = 110
	// frameLead is how much of such a line is drawn before the range.
	frameLead = 30
)

// colours are the escape sequences that mark parts of the pretty form. They are
// empty where there is no terminal.
type colours struct{ failure, warning, note, faint, strong, off string }

// coloursFor returns the colours for out: none unless it is a terminal, and
// none when NO_COLOR (no-color.org) is set to anything.
func coloursFor(out io.Writer) colours {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return colours{}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return colours{}
	}
	return terminalColours()
}

func terminalColours() colours {
	return colours{"\x1b[1;31m", "\x1b[1;33m", "\x1b[36m", "\x1b[2m", "\x1b[1m", "\x1b[0m"}
}

// prettyText draws each finding with the source that it is about, and ends with
// the counts.
func prettyText(src *sources, findings []Finding, c colours) []byte {
	var b strings.Builder
	for _, f := range findings {
		prettyFinding(&b, src, f, c)
		b.WriteByte('\n')
	}
	if len(findings) > 0 {
		failed := countErrors(findings)
		fmt.Fprintf(&b, "%s, %s\n", counted(failed, "error"), counted(len(findings)-failed, "warning"))
	}
	return []byte(b.String())
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func prettyFinding(b *strings.Builder, src *sources, f Finding, c colours) {
	colour := c.failure
	if f.Severity == catalog.SeverityWarning {
		colour = c.warning
	}
	// A message is a fact, then what to do.
	fact, help, _ := strings.Cut(f.Message, "; ")
	fmt.Fprintf(b, "%s%s %s%s: %s%s%s\n", colour, f.Severity, f.Rule, c.off, c.strong, fact, c.off)

	margin := len(strconv.Itoa(f.Line))
	for _, r := range f.Related {
		margin = max(margin, len(strconv.Itoa(r.Line)))
	}
	frame := frame{b, src, c, margin}
	frame.draw("-->", f.Place, '^', colour, "")
	for _, r := range f.Related {
		frame.draw(":::", r.Place, '-', c.note, r.Message)
	}
	if help != "" {
		fmt.Fprintf(b, "%s%s =%s help: %s\n", strings.Repeat(" ", margin), c.faint, c.off, help)
	}
	fmt.Fprintf(b, "%s%s = %s%s\n", strings.Repeat(" ", margin), c.faint, f.URL, c.off)
}

// frame draws places of one finding below each other.
type frame struct {
	*strings.Builder
	src    *sources
	c      colours
	margin int
}

// draw draws one place: its name, its line of source, and the range underlined.
func (f frame) draw(arrow string, p Place, mark rune, colour, label string) {
	gutter := strings.Repeat(" ", f.margin)
	fmt.Fprintf(f, "%s%s%s %s:%d:%d%s\n", gutter, f.c.faint, arrow, p.File, p.Line, p.Column, f.c.off)
	line := f.src.line(p.File, p.Line)
	if line == "" {
		if label != "" {
			fmt.Fprintf(f, "%s%s |%s %s\n", gutter, f.c.faint, f.c.off, label)
		}
		return
	}
	end := len(line)
	if p.EndLine == p.Line {
		end = p.EndColumn - 1
	}
	text, from, width := excerpt(line, p.Column-1, end)
	fmt.Fprintf(f, "%s%*d |%s %s\n", f.c.faint, f.margin, p.Line, f.c.off, text)
	underline := strings.Repeat(string(mark), width)
	if p.EndLine > p.Line {
		underline += "…" // and on in the next lines
	}
	if label != "" {
		label = " " + label
	}
	fmt.Fprintf(f, "%s%s |%s %s%s%s%s%s\n", gutter, f.c.faint, f.c.off, strings.Repeat(" ", from), colour, underline, label, f.c.off)
}

// excerpt returns what is drawn of a line whose bytes [start, end) matter, and
// where they lie in the drawing, in characters. Tabs become spaces, and what is
// not printable becomes a mark: source must not command the terminal.
func excerpt(line string, start, end int) (text string, from, width int) {
	start = min(max(start, 0), len(line))
	end = min(max(end, start), len(line))
	before, within, after := drawn(line[:start]), drawn(line[start:end]), drawn(line[end:])
	from, width = utf8.RuneCountInString(before), max(utf8.RuneCountInString(within), 1)
	total := []rune(before + within + after)
	if len(total) <= frameWidth {
		return strings.TrimRight(string(total), " "), from, width
	}
	cut := 0
	if from > frameLead {
		cut = from - frameLead
	}
	last := min(cut+frameWidth, len(total))
	shown := string(total[cut:last])
	from -= cut
	width = min(width, last-cut-from)
	if cut > 0 {
		shown = "…" + shown
		from++
	}
	if last < len(total) {
		shown += "…"
	}
	return shown, from, max(width, 1)
}

// drawn replaces what a terminal would not draw as one character.
func drawn(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString(strings.Repeat(" ", tabWidth))
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteRune('\uFFFD')
		}
	}
	return b.String()
}
