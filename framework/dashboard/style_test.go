package dashboard_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework/health"
)

var emptyManifest = catalog.Manifest{}

// luminance is that of WCAG 2, of a color #rrggbb.
func luminance(t *testing.T, color string) float64 {
	t.Helper()
	require.Regexp(t, `^#[0-9a-f]{6}$`, color)
	n, err := strconv.ParseUint(color[1:], 16, 32)
	require.NoError(t, err)
	channel := func(v uint64) float64 {
		c := float64(v&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(n>>16) + 0.7152*channel(n>>8) + 0.0722*channel(n)
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Every text can be read: 4.5 to 1 in both themes, which is level AA of WCAG 2.
func TestColorsHaveEnoughContrast(t *testing.T) {
	t.Parallel()
	css, err := os.ReadFile("assets/weir.css")
	require.NoError(t, err)
	light, dark, ok := strings.Cut(string(css), "prefers-color-scheme: dark")
	require.True(t, ok)
	dark, _, ok = strings.Cut(dark, "* { box-sizing")
	require.True(t, ok)
	for theme, text := range map[string]string{"light": light, "dark": dark} {
		colors := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z_-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(text, -1) {
			colors[m[1]] = m[2]
		}
		pairs := [][2]string{{"on-accent", "accent"}}
		for _, ground := range []string{"bg", "surface", "sunken"} {
			for _, ink := range []string{"text", "muted", "accent"} {
				pairs = append(pairs, [2]string{ink, ground})
			}
		}
		for _, s := range health.States() {
			pairs = append(pairs, [2]string{string(s), string(s) + "-bg"})
		}
		for _, p := range pairs {
			require.NotEmpty(t, colors[p[0]], p[0])
			require.NotEmpty(t, colors[p[1]], p[1])
			require.GreaterOrEqual(t, contrast(t, colors[p[0]], colors[p[1]]), 4.5, "%s: %s on %s", theme, p[0], p[1])
		}
	}
}

func TestEveryStateHasItsStyle(t *testing.T) {
	t.Parallel()
	css, err := os.ReadFile("assets/weir.css")
	require.NoError(t, err)
	for _, s := range health.States() {
		require.Contains(t, string(css), "\n."+string(s)+":is(.state, .tally")
	}
}
