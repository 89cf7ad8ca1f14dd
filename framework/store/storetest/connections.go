package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

var connections = []contract{
	{"AreMadeOnceAndUpdated", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		again := b.con
		again.ID, again.Enabled, again.Type = "", false, "sink"
		changed, err := b.EnsureConnection(t.Context(), again)
		require.NoError(t, err)
		require.Equal(t, b.con.ID, changed.ID)
		require.Equal(t, b.con.CreatedAt, changed.CreatedAt)
		b.connection(t, "aaa")
		b.reopen(t)
		list, err := b.Connections(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, "aaa", list[0].Name)
		require.Equal(t, changed, list[1])
		require.Regexp(t, "^con_[0-9a-z]{26}$", changed.ID)
	}},
	{"OfTwoProjectsMayShareAName", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		other := b.con
		other.Project = "second"
		c, err := b.EnsureConnection(t.Context(), other)
		require.NoError(t, err)
		require.NotEqual(t, b.con.ID, c.ID)
	}},
	{"KeepTheirConnector", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		other := b.con
		other.Connector = "github"
		_, err := b.EnsureConnection(t.Context(), other)
		require.ErrorIs(t, err, store.ErrInvalid)
		require.ErrorContains(t, err, `"acme"`)
		require.ErrorContains(t, err, `"stripe"`)
		require.NoError(t, b.DeleteConnection(t.Context(), b.con.ID))
		_, err = b.EnsureConnection(t.Context(), other)
		require.NoError(t, err)
	}},
	{"WithoutNamesAreRefused", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		_, err := b.EnsureConnection(t.Context(), store.Connection{})
		for _, part := range []string{"project", "name", "connector", "type"} {
			require.ErrorContains(t, err, "no "+part)
		}
	}},
	{"DeletedTakeEverythingWithThem", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		old := b.con
		u := b.page(move("", "c1"), fact("s", "1"), emit("s", "a", "1"))
		u.Reserve = &store.DeliveryKey{Endpoint: "e", Key: "k", DeliveryID: "dlv_1"}
		u.Keep = &store.StoredDelivery{ID: "dlv_1", Endpoint: "e", NextAttemptAt: start}
		u.Run = &store.RunWrite{Run: store.Run{ID: "run_1", Stream: "s", State: store.RunRunning}}
		b.commit(t, u)
		other := b.connection(t, "other")
		theirs := b.unit(fact("s", "1"))
		theirs.ConnectionID = other.ID
		b.commit(t, theirs)

		require.NoError(t, b.DeleteConnection(t.Context(), old.ID))
		require.ErrorIs(t, b.DeleteConnection(t.Context(), old.ID), store.ErrNotFound)
		_, err := b.Commit(t.Context(), b.unit(fact("s", "2")))
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, b.SetPaused(t.Context(), old.ID, "s", true), store.ErrNotFound)
		for _, trimmed := range []bool{false, true} {
			if trimmed {
				require.NoError(t, h.Trim(t.Context(), b.Store))
			}
			_, err = b.Events(t.Context(), old.ID, "s", 0, 10)
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = b.Run(t.Context(), "run_1")
			require.ErrorIs(t, err, store.ErrNotFound)
			_, ok, err := b.Checkpoint(t.Context(), old.ID, "s", store.LaneLive)
			require.NoError(t, err)
			require.False(t, ok)
			statuses, err := b.Statuses(t.Context(), "")
			require.NoError(t, err)
			require.Len(t, statuses, 1)
			hourly, err := b.Hourly(t.Context(), "", start)
			require.NoError(t, err)
			require.Len(t, hourly, 1)
			stored, err := b.StoredDeliveries(t.Context(), "", false, start, 10)
			require.NoError(t, err)
			require.Empty(t, stored)
		}

		b.con = b.connection(t, "acme")
		require.NotEqual(t, old.ID, b.con.ID)
		fresh := b.page(move("", "c1"), fact("s", "1"), emit("s", "a", "1"))
		fresh.Reserve = u.Reserve
		r := b.commit(t, fresh)
		require.Equal(t, 2, r.Appended, "a name that is used again starts from nothing")
		require.Equal(t, int64(1), r.Events[0].Sequence)
		require.NotEqual(t, old.ID, b.events(t, "s")[0].ConnectionID)
		left, err := b.Events(t.Context(), other.ID, "s", 0, 10)
		require.NoError(t, err)
		require.Len(t, left, 1)
	}},
	{"PausedStreamsStayPaused", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		require.NoError(t, b.SetPaused(t.Context(), b.con.ID, "s", true))
		b.commit(t, b.unit(fact("s", "1")))
		require.True(t, b.status(t, "s").Paused)
		require.Equal(t, int64(1), b.status(t, "s").Head)
		b.reopen(t)
		require.True(t, b.status(t, "s").Paused)
		require.NoError(t, b.SetPaused(t.Context(), b.con.ID, "s", false))
		require.False(t, b.status(t, "s").Paused)
		require.ErrorIs(t, b.SetPaused(t.Context(), "con_unknown", "s", true), store.ErrNotFound)
	}},
}
