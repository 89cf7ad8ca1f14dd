//go:build unix

package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/storetest"
)

// open opens a store and closes it at the end of the test.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// poison makes the database refuse events of storetest.PoisonType.
func poison(t testing.TB, url string) {
	t.Helper()
	_, err := dial(t, url).PgConn().Exec(t.Context(), fmt.Sprintf(`
		CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$;
		CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW WHEN (new.type = '%s') EXECUTE FUNCTION refuse()`,
		storetest.PoisonType)).ReadAll()
	require.NoError(t, err)
}

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, harness(func(url string) string { return url }))
}

// harness opens stores at the address that through makes of a database's URL.
func harness(through func(url string) string) func(t *testing.T) storetest.Harness {
	return func(t *testing.T) storetest.Harness {
		t.Helper()
		direct := usedDatabase(t)
		return storetest.Harness{
			Open: func(t testing.TB, s storetest.Settings) store.Store {
				t.Helper()
				// A busy machine needs its time for an event of 25 MiB.
				return open(t, Options{URL: through(direct), QueueUnits: s.QueueUnits, QueryTimeout: time.Minute, clock: s.Clock, failpoint: s.Failpoint})
			},
			Poison: func(t testing.TB) { t.Helper(); poison(t, direct) },
			Trim: func(ctx context.Context, s store.Store) error {
				p, ok := s.(*Store)
				require.True(t, ok)
				return p.Trim(ctx)
			},
		}
	}
}
