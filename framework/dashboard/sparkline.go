package dashboard

import (
	"fmt"
	"slices"
	"strings"
)

// The size of a sparkline in its own units: one bar an hour, with a gap.
const (
	barStep   = 5
	barWidth  = 4
	barHeight = 24
	// barFloor marks an hour without events, so that the line of hours shows.
	barFloor = 1
)

// sparkline is the hourly counts of a day as bars.
type sparkline struct {
	Width, Height int
	Bars          []bar
	// Full and Empty draw the bars of hours with and without events, each as one
	// path: a page may hold a thousand sparklines.
	Full, Empty string
	// Text says the same in words, for those who do not see it.
	Text string
}

type bar struct {
	X, Y, Width, Height int
	Empty               bool
}

func newSparkline(hourly []int64) sparkline {
	if len(hourly) == 0 {
		return sparkline{}
	}
	most := slices.Max(hourly)
	s := sparkline{Width: len(hourly)*barStep - (barStep - barWidth), Height: barHeight}
	var sum int64
	for i, n := range hourly {
		sum += n
		height := barFloor
		if n > 0 {
			// The smallest count still stands above the floor.
			height = max(barFloor+2, int(n*barHeight/most))
		}
		s.Bars = append(s.Bars, bar{X: i * barStep, Y: barHeight - height, Width: barWidth, Height: height, Empty: n == 0})
	}
	s.Full, s.Empty = draw(s.Bars, false), draw(s.Bars, true)
	if sum == 0 {
		s.Text = fmt.Sprintf("no events in the last %d hours", len(hourly))
		return s
	}
	s.Text = fmt.Sprintf("events an hour over the last %d hours: at most %s, in this hour %s", len(hourly), thousands(most), thousands(hourly[len(hourly)-1]))
	return s
}

// draw returns the SVG path of the bars that are empty, or of the others.
func draw(bars []bar, empty bool) string {
	var b strings.Builder
	for _, bar := range bars {
		if bar.Empty == empty {
			fmt.Fprintf(&b, "M%d %dh%dv%dh-%dz", bar.X, bar.Y, bar.Width, bar.Height, bar.Width)
		}
	}
	return b.String()
}
