package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/store/transfer"
)

// progress shows how far a move is: a bar on a terminal, else a line now and
// then.
type progress struct {
	// bar is the terminal itself, nil when there is none.
	bar   io.Writer
	lines func(format string, args ...any)
	last  time.Time
	every time.Duration
	done  bool
}

// Pauses between two signs of life.
const (
	barPause  = 100 * time.Millisecond
	linePause = 5 * time.Second
	barWidth  = 30
)

func (a *app) progress() *progress {
	p := &progress{lines: a.notef, every: linePause, last: time.Now()}
	if a.terminal != nil {
		p.bar, p.every = a.terminal, barPause
	}
	return p
}

// terminalOf returns w when it is one.
func terminalOf(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return f
}

func (p *progress) show(now transfer.Progress) {
	if p.done || time.Since(p.last) < p.every && now.Done < now.Total {
		return
	}
	p.last, p.done = time.Now(), now.Done >= now.Total
	percent := int64(100)
	if now.Total > 0 {
		percent = min(now.Done*100/now.Total, 100)
	}
	if p.bar == nil {
		p.lines("%3d %%  %s\n", percent, now.Table)
		return
	}
	full := int(percent) * barWidth / 100
	_, _ = fmt.Fprintf(p.bar, "\r[%s%s] %3d %%  %-20s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), percent, now.Table)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_, _ = fmt.Fprintf(p.bar, "\r%s\r", strings.Repeat(" ", barWidth+32))
	}
}
