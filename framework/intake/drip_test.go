package intake

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/internal/testneed"
)

// TestFiveHundredDrippingSendersDelayNobody holds 500 connections that send one
// byte a second, half of them in the header and half in the body. Each ends at its
// deadline however often it sends, and good requests are served meanwhile.
func TestFiveHundredDrippingSendersDelayNobody(t *testing.T) {
	t.Parallel()
	testneed.Long(t)
	const senders, patience = 500, 4 * time.Second
	f := newFixture(t, emitOrder, func(c *Config) { c.BodyTimeout = patience })
	s := server(t, f, func(s *http.Server) { s.ReadHeaderTimeout = patience })
	statuses := make(chan int, senders)
	var dripping, ended sync.WaitGroup
	dripping.Add(senders)
	for i := range senders {
		c := dial(t, s)
		text := "POST /webhooks/hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
		if i%2 == 0 {
			text = "POST /webhooks/hooks/github HTTP/1.1\r\nX-Slow: "
		}
		ended.Go(func() {
			_, _ = io.WriteString(c, text)
			dripping.Done()
			statuses <- drip(c)
		})
	}
	dripping.Wait()
	fastest := time.Hour
	for i := range 20 {
		id := strconv.Itoa(i)
		good, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/webhooks/hooks/github", bytes.NewReader(order(id)))
		require.NoError(t, err)
		good.Header = request(t, "github", id, order(id)).Header
		began := time.Now()
		response, err := s.Client().Do(good)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		fastest = min(fastest, time.Since(began))
	}
	// The best of many: a busy machine delays some of them for reasons of its own.
	require.Less(t, fastest, time.Second)
	ended.Wait()
	close(statuses)
	for status := range statuses {
		// In the header net/http closes without an answer, or with 408, as it likes.
		require.Contains(t, []int{0, http.StatusRequestTimeout, http.StatusBadRequest}, status)
	}
	_, events, _ := f.store.counts()
	require.Equal(t, 20, events)
	require.Zero(t, f.budget.used)
}

// drip sends a byte a second until the server closes the connection, and returns
// the status of its answer, or 0 without one.
func drip(c net.Conn) int {
	answer := make(chan int, 1)
	go func() {
		defer close(answer)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_ = response.Body.Close()
			answer <- response.StatusCode
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case status := <-answer:
			return status
		case <-tick.C:
			_, _ = io.WriteString(c, "x")
		}
	}
}
