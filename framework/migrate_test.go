package framework_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

type (
	numbered struct{ Page int }
	after    struct{ ID string }
)

func migrated(t *testing.T, version int, migrations ...framework.CursorMigration[after]) (*framework.Binding, error) {
	t.Helper()
	s := catalog.Poll[struct{}, after]("s", catalog.PollSpec{Schedule: "@hourly", CursorVersion: version})
	sync := func(context.Context, framework.SyncRequest[after], *ingest.Buffer) (framework.SyncResult[after], error) {
		return framework.SyncResult[after]{}, nil
	}
	plugin := framework.Define(catalog.Connector{Key: "acme", Streams: []catalog.Stream{s}},
		func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
			return framework.Routes{framework.Sync(s, sync, migrations...)}, nil
		})
	return plugin.Open(t.Context(), framework.OpenRequest{})
}

// savedBy is how a cursor of type C and the given version names its type.
func savedBy[C any](t *testing.T, version int) framework.CursorType {
	t.Helper()
	s := catalog.Poll[struct{}, C]("s", catalog.PollSpec{Schedule: "@hourly", CursorVersion: version})
	plugin := framework.Define(catalog.Connector{Key: "acme", Streams: []catalog.Stream{s}},
		func(context.Context, framework.Instance[struct{}]) (framework.Routes, error) {
			return framework.Routes{framework.Sync(s, func(context.Context, framework.SyncRequest[C], *ingest.Buffer) (framework.SyncResult[C], error) {
				return framework.SyncResult[C]{}, nil
			})}, nil
		})
	b, err := plugin.Open(t.Context(), framework.OpenRequest{})
	require.NoError(t, err)
	return b.CursorType("s")
}

func TestCursorsOfEarlierVersionsAreMigrated(t *testing.T) {
	t.Parallel()
	refused := errors.New("no such page")
	b, err := migrated(t, 3,
		framework.FromVersion(1, func(old numbered) (after, error) {
			switch old.Page {
			case 0:
				return after{}, refused
			case 13:
				panic("page 13")
			}
			return after{ID: "p" + string(rune('0'+old.Page))}, nil
		}),
		framework.FromVersion(2, func(old string) (after, error) { return after{old}, nil }),
	)
	require.NoError(t, err)
	for _, c := range []struct {
		saved        framework.CursorType
		cursor, want string
		err          error
		says         string
	}{
		{savedBy[numbered](t, 1), `{"Page":4}`, `{"ID":"p4"}`, nil, ""},
		{savedBy[string](t, 2), `"x"`, `{"ID":"x"}`, nil, ""},
		{b.CursorType("s"), `{"ID":"as it is"}`, `{"ID":"as it is"}`, nil, ""},
		{savedBy[numbered](t, 1), `{"Page":0}`, "", refused, "migrate cursor from version 1"},
		{savedBy[numbered](t, 1), `{"Side":1}`, "", framework.ErrCursorUnreadable, "unknown field"},
		{savedBy[numbered](t, 1), `{"Page":13}`, "", nil, "page 13"},
		{savedBy[after](t, 1), `{"ID":"1"}`, "", framework.ErrCursorUnreadable, "by a type with other fields"},
		{savedBy[after](t, 0), `{"ID":"1"}`, "", framework.ErrCursorUnreadable, "framework.FromVersion(0"},
		{savedBy[numbered](t, 3), `{"Page":1}`, "", framework.ErrCursorUnreadable, "raise CursorVersion"},
		{savedBy[after](t, 4), `{"ID":"1"}`, "", framework.ErrNewerConnector, "version 4"},
	} {
		got, err := b.ReadCursor("s", c.saved, []byte(c.cursor))
		require.Equal(t, c.want, string(got), c.cursor)
		if c.says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.says)
		require.NotEqual(t, framework.ClassTransient, framework.ClassOf(err))
		if c.err != nil {
			require.ErrorIs(t, err, c.err)
		}
	}
	none, err := b.ReadCursor("s", framework.CursorType{Version: 9}, nil)
	require.NoError(t, err, "a checkpoint without a cursor is of every version")
	require.Nil(t, none)
}

func TestAMigrationThatCannotBeUsedIsRefused(t *testing.T) {
	t.Parallel()
	from := func(version int) framework.CursorMigration[after] {
		return framework.FromVersion(version, func(numbered) (after, error) { return after{}, nil })
	}
	for says, migrations := range map[string][]framework.CursorMigration[after]{
		"declares CursorVersion 2; raise it": {from(2)},
		"are migrated twice":                 {from(1), from(1)},
	} {
		_, err := migrated(t, 2, migrations...)
		require.ErrorContains(t, err, "SC506")
		require.ErrorContains(t, err, says)
	}
}
