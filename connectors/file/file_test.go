package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

func event(n int, payload string) *ingest.Event {
	return &ingest.Event{
		ID: fmt.Sprint("evt_", n), Project: "default", Connection: "shop", ConnectionID: "con_1", Stream: "orders", Sequence: int64(n), Type: "order",
		Subject: fmt.Sprint("ord_", n), Operation: ingest.Upsert, Time: time.Unix(0, 0), RecordedAt: time.Unix(0, 0), Payload: json.RawMessage(payload),
	}
}

func testWriter(t *testing.T, s Settings) *writer {
	t.Helper()
	w := &writer{dir: filepath.Join(t.TempDir(), "files"), settings: s, now: time.Now, sync: (*os.File).Sync}
	t.Cleanup(func() { require.NoError(t, w.close()) })
	return w
}

func (w *writer) content(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	require.NoError(t, err)
	return string(b)
}

func deliver(t *testing.T, w *writer, format string, events ...*ingest.Event) sink.Answer {
	t.Helper()
	l := &lines{format, w.append}
	var batch []*sink.Message
	for _, e := range events {
		m, err := l.Prepare(t.Context(), e)
		require.NoError(t, err)
		batch = append(batch, m)
	}
	return l.Send(t.Context(), batch)
}

func TestEventsBecomeLinesByteForByte(t *testing.T) {
	t.Parallel()
	w := testWriter(t, Settings{Path: "shop/orders.ndjson"})
	gone := event(3, "")
	gone.Payload, gone.Operation = nil, ingest.Deletion
	require.Equal(t, 200, deliver(t, w, "json", event(1, "{\"n\": 9007199254740993,\n \"x\":\"\\u00e9\"}"), gone).Status)
	require.Equal(t, "{\"n\":9007199254740993,\"x\":\"\\u00e9\"}\nnull\n", w.content(t, "shop/orders.ndjson")) //nolint:testifylint // two lines, and their very bytes
	require.Equal(t, 200, deliver(t, w, "cloudevents", event(2, `1e400`)).Status)
	require.Contains(t, w.content(t, "shop/orders.ndjson"), `"weirstream":"shop.orders","weirsequence":2`)
}

func TestAnOffsetPassesOnlyWhatIsOnTheDisk(t *testing.T) {
	t.Parallel()
	w := testWriter(t, Settings{Path: "a.ndjson"})
	require.Equal(t, 200, deliver(t, w, "json", event(1, "1")).Status)
	synced := 0
	w.sync = func(f *os.File) error { synced++; return f.Sync() }
	require.Equal(t, 200, deliver(t, w, "json", event(2, "2"), event(3, "3")).Status)
	require.Equal(t, 1, synced, "one sync a batch")

	// What cannot be synced was not delivered, and is not there twice afterwards.
	w.sync = func(*os.File) error { return errors.New("input/output error") }
	require.ErrorContains(t, deliver(t, w, "json", event(4, "4")).Err, "input/output error")
	w.sync = (*os.File).Sync
	require.Equal(t, 200, deliver(t, w, "json", event(4, "4")).Status)
	require.Equal(t, "1\n2\n3\n4\n", w.content(t, "a.ndjson"))
}

func TestALineThatACrashCutIsRemoved(t *testing.T) {
	t.Parallel()
	w := testWriter(t, Settings{Path: "a.ndjson"})
	require.Equal(t, 200, deliver(t, w, "json", event(1, "1")).Status)
	require.NoError(t, w.close())
	f, err := os.OpenFile(filepath.Join(w.dir, "a.ndjson"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"cut":"in the midd`)
	require.NoError(t, errors.Join(err, f.Close()))
	require.Equal(t, 200, deliver(t, w, "json", event(2, "2")).Status)
	require.Equal(t, "1\n2\n", w.content(t, "a.ndjson"))
}

func TestFilesAreRotatedBySizeAndAgeAndOnlySomeAreKept(t *testing.T) {
	t.Parallel()
	w := testWriter(t, Settings{Path: "a.ndjson", Rotate: Rotate{MaxBytes: 8, Hours: 1, Keep: 2}})
	now := time.Now()
	w.now = func() time.Time { now = now.Add(time.Second); return now }
	for i := range 6 {
		require.Equal(t, 200, deliver(t, w, "json", event(i, fmt.Sprint("12345", i))).Status)
	}
	names := func() (list []string) {
		entries, err := os.ReadDir(w.dir)
		require.NoError(t, err)
		for _, e := range entries {
			list = append(list, w.content(t, e.Name()))
		}
		return list
	}
	require.Equal(t, []string{"123453\n", "123454\n", "123455\n"}, names(), "the newest two, and the one that is written")
	w.settings.Rotate.MaxBytes = 1 << 20
	now = now.Add(2 * time.Hour)
	require.Equal(t, 200, deliver(t, w, "json", event(9, "9")).Status)
	require.Equal(t, []string{"123454\n", "123455\n", "9\n"}, names())
}

func TestNoPathLeadsOutOfTheFolder(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/etc/passwd", "../x", "a/../../x", "."} {
		_, err := Plugin.OpenSink(t.Context(), framework.OpenRequest{Settings: map[string]any{"path": path}})
		require.Error(t, err, path)
	}
	w := testWriter(t, Settings{Path: "link/x"})
	require.NoError(t, os.MkdirAll(w.dir, 0o750))
	require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(w.dir, "link")))
	require.Error(t, w.append(t.Context(), []byte("x\n")), "nor does a link")
}
