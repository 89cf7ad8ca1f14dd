package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// erasable is a version of an entity.
func erasable(entity, version, payload string) ingest.Emission {
	return ingest.Emission{
		Stream: "s", Type: "customer", Operation: ingest.Upsert, Key: ingest.VersionKey(entity, version), Payload: []byte(payload), Time: start,
	}
}

var erasures = []contract{
	{"BlankThePayloadsOfAnEntityAndNothingElse", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		const ada = "ada@example.org"
		second := erasable(ada, "2", `{"name":"Ada L."}`)
		second.Stream = "t"
		gone := erasable(ada, "3", "")
		gone.Operation, gone.Payload = ingest.Deletion, nil
		first := erasable(ada, "1", `{"name":"Ada"}`)
		b.commit(t, b.unit(first, erasable("bob@example.org", "1", `{"name":"Bob"}`), second, gone))
		other := b.connection(t, "other")
		u := b.unit(first)
		u.ConnectionID, u.Epoch = other.ID, Epoch(b, other.ID)
		b.commit(t, u)
		before := b.events(t, "s")

		out, err := b.Erase(t.Context(), b.con.ID, ada)
		require.NoError(t, err)
		require.Equal(t, 2, out.Events)
		b.reopen(t)
		after := b.events(t, "s")
		require.Len(t, after, len(before))
		for i := range before {
			want := before[i]
			if want.Subject == ada && want.Operation == ingest.Upsert {
				want.Payload = []byte(store.ErasedPayload)
			}
			require.Equal(t, want, after[i], "sequence, id, key and times stay")
		}
		require.Equal(t, store.ErasedPayload, string(b.events(t, "t")[0].Payload))
		theirs, err := b.Events(t.Context(), other.ID, "s", 0, 10)
		require.NoError(t, err)
		require.JSONEq(t, `{"name":"Ada"}`, string(theirs[0].Payload), "another connection's")

		receipt := b.commit(t, b.unit(first))
		require.Equal(t, 1, receipt.Duplicates, "the memory of keys stays")
		receipt = b.commit(t, b.unit(erasable(ada, "4", `{"name":"Ada again"}`)))
		require.Equal(t, 1, receipt.Appended, "an entity is not barred")
		again, err := b.Erase(t.Context(), b.con.ID, ada)
		require.NoError(t, err)
		require.Equal(t, 1, again.Events)
		require.Equal(t, out.Entity, again.Entity, "who knows the id finds the record")
	}},
	{"TakeTheRawCopies", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		const ada = "cus/ada"
		bodies := []string{`{"customer":"cus\/ada"}`, `customer=cus%2Fada`, `{"customer":"cus/ad"}`, `{"customer":"cus/ada"}`}
		b.give(t, 4, func(i int, d *store.StoredDelivery) { d.Body = []byte(bodies[i]) })
		b.give(t, 1, kept, func(_ int, d *store.StoredDelivery) {
			d.ID, d.Body, d.Header = "dlv_k", nil, []byte(`{"Path":["/cus/ada"]}`)
		})
		b.give(t, 1, func(_ int, d *store.StoredDelivery) {
			d.ID, d.Dead, d.Body, d.NextAttemptAt = "dlv_w", false, []byte("cus/ada"), start
		})
		sink, from := b.sink(t)
		at := store.Position{Source: from, Sequence: 2}
		letters := []store.DeadEvent{letter("dlt_1", at), letter("dlt_2", at)}
		letters[0].Request = []byte("POST /cus/ada")
		b.deliver(t, sink, store.SinkWrite{
			Offsets: []store.OffsetWrite{{Source: from, Next: 4}},
			Park:    []store.ParkedEvent{{Position: at, Attempts: 1, ParkedAt: start, NextAttemptAt: start, Event: []byte(`{"id":"cus/ada"}`)}}, Bury: letters,
		})
		out, err := b.Erase(t.Context(), b.con.ID, ada)
		require.NoError(t, err)
		require.Equal(t, 5, out.Deliveries)
		require.Equal(t, 2, out.SinkCopies)
		require.Equal(t, []string{"dlv_2"}, b.ids(t, store.DeliveryDead), "it is about somebody else")
		require.Empty(t, b.ids(t, store.DeliveryKept))
		require.Empty(t, b.stored(t, false, start.Add(time.Hour)))
		require.Equal(t, []string{"dlv_0", "dlv_1", "dlv_3", "dlv_k", "dlv_w"}, b.ids(t, store.DeliveryDiscarded))
		require.Nil(t, b.parked(t, sink)[0].Event)
		dead, err := b.DeadEvent(t.Context(), sink.ID, "dlt_1")
		require.NoError(t, err)
		require.True(t, dead.Discarded)
		require.Nil(t, dead.Request)
		require.Nil(t, dead.Event)
		dead, err = b.DeadEvent(t.Context(), sink.ID, "dlt_2")
		require.NoError(t, err)
		require.False(t, dead.Discarded)
		require.NotNil(t, dead.Event)
	}},
	{"LeaveARecordWithoutTheID", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		b.commit(t, b.unit(erasable("zoe@example.org", "1", `{}`)))
		out, err := b.Erase(t.Context(), b.con.ID, "zoe@example.org")
		require.NoError(t, err)
		records, err := b.States(t.Context(), b.con.ID, store.ErasureStates)
		require.NoError(t, err)
		require.Len(t, records, 1)
		require.NotContains(t, string(records[0].Value), "zoe")
		var got store.Erasure
		require.NoError(t, json.Unmarshal(records[0].Value, &got))
		require.Equal(t, out, got)
		require.Equal(t, 1, got.Events)
		require.Len(t, got.Entity, 32)
	}},
	{"RefuseWhatIsInEverything", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for _, entity := range []string{"", "1", "ab", " ada", "ada\n"} {
			_, err := b.Erase(t.Context(), b.con.ID, entity)
			require.ErrorIs(t, err, store.ErrInvalid, "%q", entity)
		}
		_, err := b.Erase(t.Context(), "con_nobody", "ada@example.org")
		require.ErrorIs(t, err, store.ErrNotFound)
	}},
}
