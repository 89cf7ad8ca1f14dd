package scheduler

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
)

func TestAResetStreamReadsFromTheBeginningAndRecordsNothingTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1h", numbered("s", 3)))
		r.start()
		pass(time.Minute)
		require.Equal(t, numbers(1, 3), r.store.recorded("con_1", "s"))
		require.NotNil(t, r.store.checkpoint("con_1", "s").Cursor)

		require.ErrorIs(t, r.s.Reset(t.Context(), "con_1", "nothing", ResetTo{}), ErrUnknownStream)
		require.NoError(t, r.s.Reset(t.Context(), "con_1", "s", ResetTo{}))
		require.NoError(t, r.s.Reset(t.Context(), "con_1", "s", ResetTo{}), "a second reset changes nothing")
		require.Nil(t, r.store.checkpoint("con_1", "s").Cursor)
		runs := len(r.store.history())
		_, err := r.s.RunNow("con_1", "s")
		require.NoError(t, err)
		pass(time.Minute)
		require.Equal(t, numbers(1, 3), r.store.recorded("con_1", "s"))
		require.EqualValues(t, 3, r.store.history()[runs].Pages, "all pages were read again")
	})
}

func TestAResetMendsAnUnreadableCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		stream := r.stream("@every 1h", numbered("s", 3))
		r.add(stream)
		r.start()
		pass(time.Minute)
		saved := r.store.checkpoints["con_1/s/live"]
		saved.CursorDigest = "of another type"
		r.store.checkpoints["con_1/s/live"] = saved
		_, err := r.s.Page(t.Context(), "con_1", "s", PageOptions{})
		require.ErrorIs(t, err, framework.ErrCursorUnreadable)
		require.NoError(t, r.s.Reset(t.Context(), "con_1", "s", ResetTo{}))
		_, err = r.s.Page(t.Context(), "con_1", "s", PageOptions{})
		require.NoError(t, err)
	})
}
