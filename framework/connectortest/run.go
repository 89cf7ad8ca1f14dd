package connectortest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// Open opens plugin for a connection named "test" with the given settings. All
// calls to the provider go through client; the guard against foreign hosts that
// the runtime adds is left out.
func Open(t testing.TB, plugin framework.Plugin, settings map[string]any, client *http.Client) *framework.Binding {
	t.Helper()
	b, err := plugin.Open(t.Context(), framework.OpenRequest{
		Project: "default", Connection: "test", ConnectionID: "con_test", Settings: settings,
		Client: func([]string) *http.Client { return client },
	})
	require.NoError(t, err)
	return b
}

// Sync says what [Run] reads.
type Sync struct {
	// Stream is the key of the poll stream.
	Stream string
	// Cursor is the checkpoint to start at, nil for none.
	Cursor []byte
	// From and To bound a backfill; zero for a live run.
	From, To time.Time
	// BeforePage, if set, is called with the number of each page before it is
	// read, from 0. It is the place to change what the provider has.
	BeforePage func(page int)
	// MaxPages ends a run that does not end by itself. The default is 10,000.
	MaxPages int
}

// Page is one page that was read.
type Page struct {
	// Start is the cursor it was read from, and Cursor the checkpoint after it.
	Start, Cursor []byte
	// HasMore says that another page follows.
	HasMore bool
	// Emissions are what it emitted.
	Emissions []ingest.Emission
	// At is when its request was sent.
	At time.Time
}

// Run reads pages until the route says that there are no more. It fails the
// test when a page fails, when the cursor stands still while more pages are
// promised, and when there is no end.
func Run(t testing.TB, b *framework.Binding, s Sync) []Page {
	t.Helper()
	pages, err := run(t.Context(), b, s)
	require.NoError(t, err)
	return pages
}

func run(ctx context.Context, b *framework.Binding, s Sync) ([]Page, error) {
	if s.MaxPages == 0 {
		s.MaxPages = 10_000
	}
	var pages []Page
	cursor := s.Cursor
	for n := range s.MaxPages {
		if s.BeforePage != nil {
			s.BeforePage(n)
		}
		at := time.Now()
		result, emissions, err := b.Page(ctx, s.Stream, framework.PageCall{Cursor: cursor, From: s.From, To: s.To})
		if err != nil {
			return pages, fmt.Errorf("read page %d of %q from cursor %s: %w", n, s.Stream, cursor, err)
		}
		pages = append(pages, Page{Start: cursor, Cursor: result.Cursor, HasMore: result.HasMore, Emissions: emissions, At: at})
		if !result.HasMore {
			return pages, nil
		}
		if bytes.Equal(cursor, result.Cursor) {
			return pages, fmt.Errorf("page %d of %q: the cursor %s did not advance while HasMore is true", n, s.Stream, cursor)
		}
		cursor = result.Cursor
	}
	return pages, fmt.Errorf("stream %q has more than %d pages", s.Stream, s.MaxPages)
}

// RequireResumable reads the stream from its start, and then once more for each
// checkpoint on the way, as a process does that died there. The provider must
// not change meanwhile. It fails the test unless every resumed run, together
// with what was committed before, records exactly the events of the whole run,
// and unless a run over everything again adds nothing. It returns the log of
// the whole run.
func RequireResumable(t testing.TB, b *framework.Binding, s Sync) *Log {
	t.Helper()
	whole := NewLog()
	pages := Run(t, b, s)
	for _, p := range pages {
		whole.Commit(p.Emissions, p.At)
	}
	for died := range pages {
		resumed := NewLog()
		for _, p := range pages[:died] {
			resumed.Commit(p.Emissions, p.At)
		}
		again := s
		again.Cursor, again.BeforePage = pages[died].Start, nil
		for _, p := range Run(t, b, again) {
			resumed.Commit(p.Emissions, p.At)
		}
		if !slices.Equal(whole.Keys(), resumed.Keys()) {
			t.Fatalf("resumed at page %d of %d, cursor %s: recorded %d events, and %d without a stop",
				died, len(pages), pages[died].Start, len(resumed.events), len(whole.events))
		}
		RequireState(t, whole.State(s.Stream), resumed.State(s.Stream))
	}
	added := 0
	for _, p := range Run(t, b, s) {
		appended, _ := whole.Commit(p.Emissions, p.At)
		added += appended
	}
	require.Zero(t, added, "reading everything a second time must add nothing")
	return whole
}
