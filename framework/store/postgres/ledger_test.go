//go:build unix

package postgres

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecordsAreChangedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	nodes := []*Store{open(t, Options{URL: url, Observe: true}), open(t, Options{URL: url, Observe: true})}
	const each = 20
	var working sync.WaitGroup
	for i := range 8 {
		working.Go(func() {
			for range each {
				err := nodes[i%2].Amend(t.Context(), "count", func(now time.Time, kept []byte) ([]byte, error) {
					if now.IsZero() {
						t.Error("no time")
					}
					n, err := strconv.Atoi("0" + string(kept))
					return []byte(strconv.Itoa(n + 1)), err
				})
				if err != nil {
					t.Errorf("amend: %v", err)
				}
			}
		})
	}
	working.Wait()
	refused := errors.New("no")
	err := nodes[0].Amend(t.Context(), "count", func(_ time.Time, kept []byte) ([]byte, error) {
		require.Equal(t, strconv.Itoa(8*each), string(kept))
		return []byte("other"), refused
	})
	require.ErrorIs(t, err, refused)
	require.NoError(t, nodes[1].Amend(t.Context(), "count", func(_ time.Time, kept []byte) ([]byte, error) {
		require.Equal(t, strconv.Itoa(8*each), string(kept), "a change that was refused left something")
		return kept, nil
	}))
}
