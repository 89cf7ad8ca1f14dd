package connectortest_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/connectortest"
	"github.com/weirhq/weir/ingest"
)

type place struct {
	Next int `json:"next"`
}

type settings struct{}

var numbers = catalog.Poll[int, place]("numbers", catalog.PollSpec{Schedule: "@hourly"})

// counter is a connector that counts from 0 to 29, ten a page, by the given route.
func counter(t *testing.T, page framework.SyncFunc[place]) *framework.Binding {
	plugin := framework.Define(catalog.Connector{Key: "counter", Streams: []catalog.Stream{numbers}},
		func(context.Context, framework.Instance[settings]) (framework.Routes, error) {
			return framework.Routes{framework.Sync(numbers, page)}, nil
		})
	return connectortest.Open(t, plugin, nil, nil)
}

func count(_ context.Context, in framework.SyncRequest[place], out *ingest.Buffer) (framework.SyncResult[place], error) {
	return emit(in.Cursor.Next, strconv.Itoa, out)
}

func emit(from int, version func(int) string, out *ingest.Buffer) (framework.SyncResult[place], error) {
	for n := from; n < from+10; n++ {
		options := ingest.Options{IdempotencyKey: ingest.VersionKey(strconv.Itoa(n), version(n)), Time: start}
		if err := ingest.Canonical(out, numbers, "number", n, options); err != nil {
			return framework.SyncResult[place]{}, err
		}
	}
	return framework.SyncResult[place]{Cursor: place{from + 10}, HasMore: from < 20}, nil
}

// verdict is a test that only notes whether it failed.
type verdict struct {
	testing.TB
	said string
}

func (v *verdict) Helper() {}
func (v *verdict) FailNow() {
	runtime.Goexit()
}

func (v *verdict) Errorf(format string, arguments ...any) {
	v.said += fmt.Sprintf(format, arguments...)
}

func (v *verdict) Fatalf(format string, arguments ...any) {
	v.Errorf(format, arguments...)
	v.FailNow()
}

// judge returns what check says against it, or "".
func judge(t *testing.T, check func(testing.TB)) string {
	t.Helper()
	v := &verdict{TB: t}
	var done sync.WaitGroup
	done.Go(func() { check(v) })
	done.Wait()
	return v.said
}

func TestAConnectorThatResumesPasses(t *testing.T) {
	t.Parallel()
	log := connectortest.RequireResumable(t, counter(t, count), connectortest.Sync{Stream: "numbers"})
	require.Len(t, log.State("numbers"), 30)
	pages := connectortest.Run(t, counter(t, count), connectortest.Sync{Stream: "numbers", Cursor: []byte(`{"next":20}`)})
	require.Len(t, pages, 1)
	require.JSONEq(t, `{"next":30}`, string(pages[0].Cursor))
}

func TestAConnectorThatDoesNotResumeFails(t *testing.T) {
	t.Parallel()
	type request = framework.SyncRequest[place]
	type result = framework.SyncResult[place]
	for name, c := range map[string]struct {
		says string
		page framework.SyncFunc[place]
	}{
		"keeps its place in memory": {"recorded", func() framework.SyncFunc[place] {
			at := 0
			return func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
				if in.First {
					at = 0
				}
				r, err := emit(at, strconv.Itoa, out)
				at = r.Cursor.Next
				return r, err
			}
		}()},
		"makes new keys each time": {"recorded", func() framework.SyncFunc[place] {
			calls := 0
			return func(_ context.Context, in request, out *ingest.Buffer) (result, error) {
				calls++
				return emit(in.Cursor.Next, func(int) string { return strconv.Itoa(calls) }, out)
			}
		}()},
		"stands still": {"did not advance", func(_ context.Context, in request, _ *ingest.Buffer) (result, error) {
			return result{Cursor: place{7}, HasMore: true}, nil
		}},
		"never ends": {"more than 50 pages", func(_ context.Context, in request, _ *ingest.Buffer) (result, error) {
			return result{Cursor: place{in.Cursor.Next + 1}, HasMore: true}, nil
		}},
		"fails": {"read page 0", func(context.Context, request, *ingest.Buffer) (result, error) {
			return result{}, context.DeadlineExceeded
		}},
	} {
		b := counter(t, c.page)
		said := judge(t, func(v testing.TB) {
			connectortest.RequireResumable(v, b, connectortest.Sync{Stream: "numbers", MaxPages: 50})
		})
		require.Contains(t, said, c.says, name)
	}
}

func TestStatesThatDifferAreNamed(t *testing.T) {
	t.Parallel()
	said := judge(t, func(v testing.TB) {
		connectortest.RequireState(v, map[string]string{"a": "1", "b": "2", "c": "3"}, map[string]string{"a": "1", "b": "9", "d": "4"})
	})
	for _, part := range []string{"b is 9, and with the provider 2", "c is missing", "d is gone with the provider", "3 of 3"} {
		require.Contains(t, said, part)
	}
	connectortest.RequireState(t, map[string]string{"a": "1"}, map[string]string{"a": "1"})
}

func TestPagesSayWhenTheyWereAskedFor(t *testing.T) {
	t.Parallel()
	before := time.Now()
	seen := []int{}
	pages := connectortest.Run(t, counter(t, count), connectortest.Sync{Stream: "numbers", BeforePage: func(n int) { seen = append(seen, n) }})
	require.Equal(t, []int{0, 1, 2}, seen)
	require.False(t, pages[0].At.Before(before))
	require.Nil(t, pages[0].Start)
	require.Equal(t, pages[0].Cursor, pages[1].Start)
}
