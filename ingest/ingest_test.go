package ingest_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/ingest"
)

func emit(out *ingest.Buffer, key ingest.Key) error {
	return ingest.Canonical(out, Plain, "customer", Customer{ID: "c"}, ingest.Options{IdempotencyKey: key})
}

func TestRefusesBadKeysAndPoisonsTheBuffer(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]ingest.Key{
		"zero": {}, "no entity": ingest.VersionKey("", "1"), "no version": ingest.VersionKey("c", ""), "no latest": ingest.LatestKey(""),
		"no event": ingest.EventKey(""), "NUL": ingest.EventKey("a\x00b"), "not UTF-8": ingest.EventKey("\xff"),
		"long": ingest.EventKey(strings.Repeat("x", ingest.MaxKeyBytes+1)),
	} {
		out := buffer()
		require.NoError(t, emit(out, ingest.EventKey("good")))
		require.Error(t, emit(out, key), name)
		emissions, err := out.Seal()
		require.Error(t, err, name)
		require.Empty(t, emissions, name)
	}
}

func TestRefusesStreamsOfOtherConnectors(t *testing.T) {
	t.Parallel()
	other := catalog.Webhook[Customer]("other")
	err := ingest.Canonical(buffer(), other, "customer", Customer{}, ingest.Options{IdempotencyKey: ingest.EventKey("e")})
	require.ErrorContains(t, err, "SC401")
}

func TestLimitsHold(t *testing.T) {
	t.Parallel()
	limits := ingest.Limits{Events: 2, Bytes: 100, EventBytes: 60}
	emitText := func(out *ingest.Buffer, key, text string) error {
		return ingest.Canonical(out, Plain, "customer", Customer{ID: text}, ingest.Options{IdempotencyKey: ingest.EventKey(key)})
	}
	out := ingest.NewBuffer([]string{"plain"}, limits)
	require.NoError(t, emitText(out, "1", ""))
	require.NoError(t, emitText(out, "2", ""))
	require.ErrorContains(t, emitText(out, "3", ""), "more than 2 events")
	require.ErrorContains(t, emitText(ingest.NewBuffer([]string{"plain"}, limits), "1", strings.Repeat("x", 60)), "the limit is 60")
	out = ingest.NewBuffer([]string{"plain"}, limits)
	require.NoError(t, emitText(out, "1", strings.Repeat("x", 30)))
	require.ErrorContains(t, emitText(out, "2", strings.Repeat("x", 30)), "more than 100 bytes")
}

func TestALateEmissionIsRefusedAndCounted(t *testing.T) {
	t.Parallel()
	out := buffer()
	_, err := out.Seal()
	require.NoError(t, err)
	require.ErrorIs(t, emit(out, ingest.EventKey("e")), ingest.ErrSealed)
	require.Equal(t, 1, out.Late())
}

func TestTheBufferIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	out := buffer()
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() { _ = emit(out, ingest.EventKey(string(rune('a'+i)))) })
	}
	group.Wait()
	emissions, err := out.Seal()
	require.NoError(t, err)
	require.Len(t, emissions, 50)
}

func TestRefusesPayloadsThatDoNotEncode(t *testing.T) {
	t.Parallel()
	stream := catalog.Webhook[json.RawMessage]("plain")
	err := ingest.Canonical(buffer(), stream, "x", json.RawMessage(`{"a":`), ingest.Options{IdempotencyKey: ingest.EventKey("e")})
	require.ErrorContains(t, err, "not valid JSON")
}

func TestDecodeReadsARecordAsUnmarshalDoes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"id":"c1","n":1e400}`, " \t{\"id\":\"c1\"}\r\n", `{"id":`, `{"id":"c1"} x`, `{"id":7}`, `null`, ``, `[]`, "\ufeff{}", "\u00a0{}",
	} {
		var got, want ingest.Record[Customer]
		err, wanted := ingest.Decode([]byte(text), &got), json.Unmarshal([]byte(text), &want)
		require.Equal(t, wanted == nil, err == nil, text)
		require.Equal(t, want.Value, got.Value, text)
		if err == nil {
			require.Equal(t, string(want.RawJSON()), string(got.RawJSON()), text)
			require.NoError(t, ingest.Canonical(buffer(), Customers, "customer", got, ingest.Options{IdempotencyKey: ingest.EventKey("e")}))
		}
	}
}

// spoiled is a record whose bytes are not those that were decoded.
type spoiled struct{ ingest.Record[Customer] }

func (spoiled) RawJSON() json.RawMessage { return json.RawMessage(`{"id":`) }

func TestARecordThatGivesOutOtherBytesIsChecked(t *testing.T) {
	t.Parallel()
	var r spoiled
	require.NoError(t, json.Unmarshal([]byte(`{"id":"c1"}`), &r.Record))
	err := ingest.Canonical(buffer(), catalog.Webhook[spoiled]("plain"), "x", r, ingest.Options{IdempotencyKey: ingest.EventKey("e")})
	require.ErrorContains(t, err, "not valid JSON")
}

func TestPayloadBytesSurviveTheEnvelope(t *testing.T) {
	t.Parallel()
	payload := `{"z":1,"a":9007199254740993,"e":1e400,"s":"<b>\u00e9é\u2028</b>", "sp":  [ ]}`
	e := ingest.Event{
		ID: "evt_1", Project: "default", ConnectionID: "con_1", Connection: "shop", Stream: "customers", Sequence: 7, Type: "customer",
		Subject: "c1", Operation: ingest.Upsert, Key: "v/c1/1", Time: time.Unix(1, 2000), RecordedAt: time.Unix(2, 0), Payload: json.RawMessage(payload),
	}
	b, err := e.MarshalJSON()
	require.NoError(t, err)
	require.True(t, json.Valid(b))
	require.Contains(t, string(b), `"data":`+payload+`}`)
	require.Contains(t, string(b), `"time":"1970-01-01T00:00:01.000002Z"`)
	require.Contains(t, string(b), `"source":"/projects/default/connections/con_1"`)
	e.Payload = nil
	b, err = e.MarshalJSON()
	require.NoError(t, err)
	require.NotContains(t, string(b), `"data"`)
}

// Distinct keys of a stream have distinct texts, whatever is in their parts.
func TestDistinctKeysHaveDistinctTexts(t *testing.T) {
	t.Parallel()
	part := rapid.StringMatching(`[a/%2fv.]{1,4}`)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (kind int, entity, version string, k ingest.Key) {
			kind = rapid.IntRange(0, 1).Draw(t, label+" kind")
			entity, version = part.Draw(t, label+" entity"), part.Draw(t, label+" version")
			if kind == 0 {
				return kind, entity, version, ingest.VersionKey(entity, version)
			}
			return kind, entity, "", ingest.EventKey(entity)
		}
		k1, e1, v1, key1 := draw("first")
		k2, e2, v2, key2 := draw("second")
		same := k1 == k2 && e1 == e2 && v1 == v2
		require.Equal(t, same, key1.Text(0, [16]byte{}) == key2.Text(0, [16]byte{}))
		require.Equal(t, same, ingest.EventID("con", "s", key1.Text(0, [16]byte{})) == ingest.EventID("con", "s", key2.Text(0, [16]byte{})))
	})
}

func TestLatestKeysDifferByRevisionAndPayload(t *testing.T) {
	t.Parallel()
	k := ingest.LatestKey("c")
	a, b := ingest.PayloadHash(ingest.Upsert, []byte("1")), ingest.PayloadHash(ingest.Upsert, []byte("2"))
	require.NotEqual(t, k.Text(1, a), k.Text(2, a))
	require.NotEqual(t, k.Text(1, a), k.Text(1, b))
	require.NotEqual(t, ingest.PayloadHash(ingest.Upsert, nil), ingest.PayloadHash(ingest.Deletion, nil))
}

func TestEventIDsDoNotMixTheirParts(t *testing.T) {
	t.Parallel()
	require.NotEqual(t, ingest.EventID("con", "ab", "c"), ingest.EventID("con", "a", "bc"))
	require.Regexp(t, `^evt_[0-9a-z]{32}$`, ingest.EventID("con", "a", "b"))
}
