package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/ingest"
)

var exactness = []contract{
	{"OfPayloadsIsToTheByte", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		payloads := []string{
			`9007199254740993`, `1e400`, `-0`, `1.10`, `{"z":1,"a":2,"z":3}`, `"\u0041\/\ud83d\ude00"`, `{ "spaced" :  [ ] }`,
			"{\"newline\":true}\n", "\t[1]\r\n", `"<>&` + "\u2028" + `"`, `"` + strings.Repeat("x", 1<<20-2) + `"`, `null`,
		}
		u := b.unit()
		for i, p := range payloads {
			u.Emissions = append(u.Emissions, ingest.Emission{
				Stream: "s", Type: "t", Operation: ingest.Upsert, Key: ingest.VersionKey(fmt.Sprint(i), "1"), Payload: []byte(p),
			})
		}
		b.commit(t, u)
		for i, e := range b.events(t, "s") {
			require.Equal(t, payloads[i], string(e.Payload))
		}
	}},
	{"OfTimesIsAMicrosecond", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		fine := fact("s", "1")
		fine.Time = time.Date(2026, 3, 29, 2, 30, 0, 987654321, time.FixedZone("", 3600))
		old := fact("s", "2")
		old.Time = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)
		epoch := fact("s", "3")
		epoch.Time = time.Unix(0, 0)
		far := fact("s", "4")
		far.Time = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
		u := b.unit(fine, old, epoch, far, fact("s", "5"))
		u.ObservedAt = start.Add(-time.Hour)
		b.commit(t, u)
		b.commit(t, b.unit(fact("s", "6")))
		events := b.events(t, "s")
		require.Equal(t, fine.Time.UTC().Truncate(time.Microsecond), events[0].Time)
		require.Equal(t, old.Time, events[1].Time)
		require.Equal(t, epoch.Time.UTC(), events[2].Time)
		require.Equal(t, far.Time.Truncate(time.Microsecond), events[3].Time)
		require.Equal(t, start.Add(-time.Hour), events[4].Time, "an event without a time has that of the observation")
		require.Equal(t, start, events[5].Time)
		for _, e := range events {
			require.Equal(t, start, e.RecordedAt)
		}
	}},
	{"OfEventsIsWhole", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		r := b.commit(t, b.unit(at(emit("s", "cus_1", "v 7/ü"), time.Second)))
		want := ingest.Event{
			ID:      ingest.EventID(b.con.ID, "s", "v/cus_1/v 7%2fü"),
			Project: "default", Connection: "acme", ConnectionID: b.con.ID, Stream: "s", Sequence: 1, Type: "customer", Subject: "cus_1",
			Operation: ingest.Upsert, Key: "v/cus_1/v 7%2fü", Time: start.Add(time.Second), RecordedAt: start,
			Payload: emit("s", "cus_1", "v 7/ü").Payload,
		}
		require.Equal(t, []ingest.Event{want}, b.events(t, "s"))
		require.Equal(t, want.ID, r.Events[0].ID)
	}},
	{"OfUnknownStreamsIsEmpty", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		require.Empty(t, b.events(t, "nothing"))
		none, err := b.Events(t.Context(), b.con.ID, "nothing", 1<<62, 10)
		require.NoError(t, err)
		require.Empty(t, none)
	}},
}
