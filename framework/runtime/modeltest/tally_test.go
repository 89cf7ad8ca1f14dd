package modeltest

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tally counts what the stories of a test came to, so that a model in which
// little happens any more does not pass for a proof.
type tally map[string]int

const (
	seenLate      = "late events"
	seenDuplicate = "webhooks that were known"
	seenRepeat    = "commits that were asked for twice"
	seenStored    = "webhooks stored for their handler"
	seenSettled   = "stored webhooks that were handled"
	seenReread    = "second readings that came to their end"
	seenStuck     = "runs that met their own cursor"
	seenExcused   = "entities that the receiver could not know"
	seenLost      = "webhooks that went away with a restore or a connection"
	seenRestart   = "restarts within a run of pages"
	seenReset     = "resets"
	seenFilled    = "backfills that read their whole range"
	seenBeside    = "live pages in the middle of a backfill"
)

// demanded are those that must come in any forty stories.
var demanded = []string{
	seenLate, seenDuplicate, seenStored, seenSettled, seenReread, seenLost, seenRestart, seenReset,
	string(faultRefused), string(faultDiesBefore), string(faultAnswerLost), string(faultDiesAfter),
}

func (s tally) demand(t *testing.T, more ...string) {
	t.Helper()
	if told, err := strconv.Atoi(flag.Lookup("rapid.checks").Value.String()); err != nil || told < 40 || testing.Short() {
		return
	}
	for _, name := range append(more, demanded...) {
		require.Positive(t, s[name], "%s: the stories are too tame", name)
	}
}

func (s tally) String() string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		lines = append(lines, fmt.Sprintf("%6d %s", s[name], name))
	}
	return "in all stories\n" + strings.Join(lines, "\n")
}
