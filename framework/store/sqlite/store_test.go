package sqlite

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		t.Helper()
		return harness(t.TempDir())
	})
}

func harness(dir string) storetest.Harness {
	return storetest.Harness{
		Open: func(t testing.TB, s storetest.Settings) store.Store {
			t.Helper()
			return open(t, Options{Dir: dir, Clock: s.Clock, QueueUnits: s.QueueUnits, failpoint: s.Failpoint, manual: true})
		},
		Poison: func(t testing.TB) {
			t.Helper()
			poison(t, dir)
		},
		Trim: func(ctx context.Context, s store.Store) error {
			opened, ok := s.(*Store)
			if !ok {
				return fmt.Errorf("unexpected store %T", s)
			}
			return opened.Trim(ctx)
		},
	}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// poison adds a trigger that refuses events of storetest.PoisonType.
func poison(t testing.TB, dir string) {
	t.Helper()
	raw(t, dir, `CREATE TRIGGER poison BEFORE INSERT ON events WHEN new.type = '`+storetest.PoisonType+`'
		BEGIN SELECT RAISE(ABORT, 'poisoned'); END`)
}

// raw runs statements on a connection of its own.
func raw(t testing.TB, dir string, statements ...string) {
	t.Helper()
	c, err := connect(dir + "/" + FileName)
	require.NoError(t, err)
	require.NoError(t, c.script(statements...))
	require.NoError(t, c.close())
}
