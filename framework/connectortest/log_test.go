package connectortest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/ingest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func upsert(key ingest.Key, seconds int, payload string) []ingest.Emission {
	return []ingest.Emission{{Stream: "s", Operation: ingest.Upsert, Key: key, Time: start.Add(time.Duration(seconds) * time.Second), Payload: []byte(payload)}}
}

func remove(key ingest.Key, seconds int) []ingest.Emission {
	e := upsert(key, seconds, "")
	e[0].Operation = ingest.Deletion
	return e
}

func TestALogKeepsEventsByTheRulesOfAStore(t *testing.T) {
	t.Parallel()
	version, latest := ingest.VersionKey, ingest.LatestKey
	for name, c := range map[string]struct {
		units  [][]ingest.Emission
		events int
		state  map[string]string
	}{
		"a version that comes twice is one event": {
			[][]ingest.Emission{upsert(version("a", "1"), 0, "x"), upsert(version("a", "1"), 5, "y")},
			1,
			map[string]string{"a": "x"},
		},
		"a change and its reversal are two events": {
			[][]ingest.Emission{upsert(latest("a"), 0, "x"), upsert(latest("a"), 1, "y"), upsert(latest("a"), 2, "x"), upsert(latest("a"), 3, "x")},
			3,
			map[string]string{"a": "x"},
		},
		"an older version comes late and changes nothing": {
			[][]ingest.Emission{upsert(version("a", "2"), 2, "new"), upsert(version("a", "1"), 1, "old")},
			2,
			map[string]string{"a": "new"},
		},
		"of one moment the later arrival counts": {
			[][]ingest.Emission{upsert(version("a", "1"), 1, "first"), upsert(version("a", "2"), 1, "second")},
			2,
			map[string]string{"a": "second"},
		},
		"a deletion removes, and what comes after it revives": {
			[][]ingest.Emission{upsert(version("a", "1"), 1, "x"), remove(version("a", "2"), 2), upsert(version("b", "1"), 1, "y"), remove(version("b", "2"), 2), upsert(version("b", "3"), 3, "z")},
			5,
			map[string]string{"b": "z"},
		},
		"a late read does not take the place of the next change": {
			[][]ingest.Emission{upsert(version("a", "1"), 10, "w"), upsert(latest("a"), 5, "x"), upsert(latest("a"), 20, "x")},
			3,
			map[string]string{"a": "x"},
		},
		"a fact belongs to no entity": {
			[][]ingest.Emission{upsert(ingest.EventKey("e"), 1, "x"), upsert(ingest.EventKey("e"), 2, "x")},
			1,
			map[string]string{},
		},
	} {
		log := connectortest.NewLog()
		for _, unit := range c.units {
			log.Commit(unit, start)
		}
		require.Len(t, log.Events("s"), c.events, name)
		require.Equal(t, c.state, log.State("s"), name)
	}
}

func TestEmissionsWithoutATimeTakeThatOfTheRequest(t *testing.T) {
	t.Parallel()
	log := connectortest.NewLog()
	log.Commit(upsert(ingest.VersionKey("a", "1"), 10, "x"), start)
	untimed := upsert(ingest.VersionKey("a", "2"), 0, "y")
	untimed[0].Time = time.Time{}
	appended, duplicates := log.Commit(untimed, start.Add(5*time.Second))
	require.Equal(t, []int{1, 0}, []int{appended, duplicates})
	require.True(t, log.Events("s")[1].Late)
}
