package modeltest

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/framework/internal/testneed"
)

// stories is how many stories a test tells unless -rapid.checks says.
const stories = "40"

func TestMain(m *testing.M) {
	flag.Parse()
	_, given := os.LookupEnv("RAPID_CHECKS")
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", stories); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// tell tells stories about one shape of provider. Each has a folder of its own,
// which is removed with the story.
func tell(t *testing.T, story func(rt *rapid.T, dir string, seen tally), demands ...string) {
	t.Helper()
	seen := tally{}
	base := folder(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "story") //nolint:usetesting // removed with the story, not with the test
		require.NoError(rt, err)
		defer func() { _ = os.RemoveAll(dir) }()
		story(rt, dir, seen)
	})
	t.Log(seen)
	seen.demand(t, demands...)
}

// folder is where the stories lie: in memory where the system has such a place.
// What a sync to disk is good for is not the subject here, and each story makes
// hundreds of them.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "weir-modeltest") //nolint:usetesting // in memory, removed below
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// tellMore tells nine times as many stories, each time from another seed.
func tellMore(t *testing.T, story func(rt *rapid.T, dir string, seen tally), demands ...string) {
	t.Helper()
	testneed.Long(t)
	for range 9 {
		tell(t, story, demands...)
	}
}
