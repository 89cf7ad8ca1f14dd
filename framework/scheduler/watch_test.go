package scheduler

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

func TestAnAlarmIsRaisedOnceAndEndsWithTheFirstEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var brings atomic.Int64 // 0 new events, 1 nothing, 2 known events
		var n atomic.Int64
		page := func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
			switch brings.Load() {
			case 1:
				return result{Cursor: in.Cursor}, nil
			case 0:
				n.Add(1)
			}
			return result{Cursor: in.Cursor + 1}, emit(out, pollStream("s"), fmt.Sprint(n.Load()))
		}
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1m", page))
		r.start()
		alarm := func() *store.Alarm {
			states, err := r.store.States(t.Context(), "con_1", store.AlarmStates)
			require.NoError(t, err)
			if len(states) == 0 {
				return nil
			}
			_, a, ok := store.ReadAlarm(states[0])
			require.True(t, ok)
			return &a
		}
		pass(20 * time.Minute)
		brings.Store(1)
		pass(13 * time.Minute)
		require.Nil(t, alarm(), "fourteen in a row are as unlikely as one in a million, thirteen are not")
		pass(2 * time.Minute)
		require.Equal(t, store.AlarmZeroEvents, alarm().Kind)
		require.Equal(t, 14, alarm().Runs)
		raised := len(r.store.committed())
		pass(5 * time.Hour)
		require.Equal(t, 14, alarm().Runs, "it is raised once")
		require.Less(t, len(r.store.committed())-raised, 5*60*60/5+1, "and not written again with each run")

		r.stop()
		r.store.reopen()
		r = newRig(t, r.store, Config{})
		s := r.stream("@every 1m", page)
		s.States, _ = r.store.States(t.Context(), "con_1", "")
		r.add(s)
		r.start()
		pass(10 * time.Minute)
		require.NotNil(t, alarm(), "it goes on after a restart")
		brings.Store(0)
		pass(2 * time.Minute)
		require.Nil(t, alarm())

		pass(20 * time.Minute)
		brings.Store(2)
		pass(40 * time.Minute)
		require.Equal(t, store.AlarmDuplicatesOnly, alarm().Kind)
	})
}

func TestAStreamThatSeldomHasEventsRaisesNoAlarmForIt(t *testing.T) {
	t.Parallel()
	var w watch
	at := time.Unix(0, 0)
	for range 300 { // every tenth run
		for i := range 10 {
			require.False(t, w.see(i/9, 0, at))
		}
	}
	for range 139 {
		require.False(t, w.see(0, 0, at))
	}
	raised := false
	for range 10 {
		raised = raised || w.see(0, 0, at)
	}
	require.True(t, raised)
	w = watch{}
	for range 1000 { // one event in all
		require.False(t, w.see(0, 1, at))
	}
	require.False(t, w.see(1, 0, at))
	for range 1000 {
		require.False(t, w.see(0, 0, at), "nothing is expected of it")
	}
}
