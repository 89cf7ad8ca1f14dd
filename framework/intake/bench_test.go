package intake

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/webhook"
)

// nothing is a store that takes everything and keeps nothing.
type nothing struct{}

func (nothing) Epoch(string) (int64, bool) { return 1, true }

func (nothing) DeliveryCounts(context.Context, string) ([]store.DeliveryCount, error) {
	return nil, nil
}
func (nothing) ClampDeliveries(context.Context, time.Time) (int, error) { return 0, nil }
func (nothing) TrimDeliveries(context.Context, string, time.Time, store.DeliveryBounds, int) (int, error) {
	return 0, nil
}

func (nothing) Offer(_ context.Context, u store.Unit) (store.Receipt, error) {
	return store.Receipt{Appended: len(u.Emissions)}, nil
}

func (nothing) Commit(_ context.Context, u store.Unit) (store.Receipt, error) {
	return store.Receipt{Appended: len(u.Emissions)}, nil
}

func (nothing) StoredDeliveries(context.Context, string, bool, time.Time, int) ([]store.StoredDelivery, error) {
	return nil, nil
}

// BenchmarkIntake is one signed delivery of 1 KiB, from ServeHTTP to its answer,
// with a real binding and a store that does nothing.
func BenchmarkIntake(b *testing.B) {
	table := &Table{}
	table.Replace(targets(b, bind(b, emitOrder)))
	h, err := New(Config{Targets: table, Store: nothing{}, Now: func() time.Time { return start }})
	require.NoError(b, err)
	body := append([]byte(`{"id":"o1","text":"`), bytes.Repeat([]byte("x"), 1024-21)...)
	body = append(body, `"}`...)
	for _, endpoint := range []string{"github", "stripe", "standard"} {
		b.Run(endpoint, func(b *testing.B) {
			header, err := webhook.Sign(endpoints[endpoint], secretOf(endpoint), start, "d1", body)
			require.NoError(b, err)
			header.Set("Content-Type", "application/json")
			header.Set("User-Agent", "benchmark")
			header.Set("Content-Length", strconv.Itoa(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/webhooks/hooks/"+endpoint, bytes.NewReader(body))
				r.Header = header
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body.String())
				}
			}
		})
	}
}
