package intake

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server serves f as the runtime does, with a header limit of 64 KiB.
func server(t *testing.T, f *fixture, change ...func(*http.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Config.MaxHeaderBytes = 64 << 10
	s.Config.ReadHeaderTimeout = 300 * time.Millisecond
	for _, set := range change {
		set(s.Config)
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// dial opens a connection that fails the test instead of hanging it.
func dial(t testing.TB, s *httptest.Server) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c
}

// raw sends text and returns the statuses of all answers until the server
// closes the connection.
func raw(t *testing.T, s *httptest.Server, text string) []int {
	t.Helper()
	c := dial(t, s)
	go func() {
		// The server may answer and close before it has read everything.
		_, _ = io.WriteString(c, text)
		if half, ok := c.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	var codes []int
	r := bufio.NewReader(c)
	for {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return codes
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		codes = append(codes, response.StatusCode)
	}
}

func TestReadsRequestsAsTheyWereSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	s := server(t, f)
	const post = "POST /webhooks/hooks/github HTTP/1.1\r\n"
	n := 0
	// signed returns the signature lines of a new order, and the order.
	signed := func() (lines, body string) {
		n++
		b := order(fmt.Sprint("o", n))
		h := request(t, "github", fmt.Sprint("d", n), b).Header
		return "X-Hub-Signature-256: " + h.Get("X-Hub-Signature-256") + "\r\nX-GitHub-Delivery: " + h.Get("X-GitHub-Delivery") + "\r\n", string(b)
	}
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	length := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n", len(body)) }
	for name, c := range map[string]struct {
		request func(lines, body string) string
		want    []int
		events  int
	}{
		"plain": {func(l, b string) string { return post + "Host: x\r\n" + l + length(b) + "\r\n" + b }, []int{200}, 1},
		"chunked": {func(l, b string) string {
			return post + "Host: x\r\n" + l + "Transfer-Encoding: chunked\r\n\r\n" + chunked(b)
		}, []int{200}, 1},
		"signature twice": {func(l, b string) string { return post + "Host: x\r\n" + l + l + length(b) + "\r\n" + b }, []int{401}, 0},
		"signature in case": {func(l, b string) string {
			return post + "Host: x\r\n" + l + "x-hub-signature-256: sha256=00\r\n" + length(b) + "\r\n" + b
		}, []int{401}, 0},
		"two hosts": {func(l, b string) string { return post + "Host: x\r\nHost: y\r\n" + l + length(b) + "\r\n" + b }, []int{400}, 0},
		"no host":   {func(l, b string) string { return post + l + length(b) + "\r\n" + b }, []int{400}, 0},
		"two lengths": {func(l, b string) string {
			return post + "Host: x\r\n" + l + length(b) + "Content-Length: 1\r\n\r\n" + b
		}, []int{400}, 0},
		"signed length":      {func(l, b string) string { return post + "Host: x\r\n" + l + "Content-Length: +17\r\n\r\n" + b }, []int{400}, 0},
		"space before colon": {func(l, b string) string { return post + "Host: x\r\nX-A : b\r\n" + l + length(b) + "\r\n" + b }, []int{400}, 0},
		"folded header":      {func(l, b string) string { return post + "Host: x\r\n folded\r\n" + l + length(b) + "\r\n" + b }, []int{400}, 0},
		"unknown encoding": {func(l, b string) string {
			return post + "Host: x\r\n" + l + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked(b)
		}, []int{501}, 0},
		"short body": {func(l, b string) string { return post + "Host: x\r\n" + l + "Content-Length: 1000\r\n\r\n" + b }, []int{400}, 0},
		"bad chunk": {func(l, b string) string {
			return post + "Host: x\r\n" + l + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + b
		}, []int{400}, 0},
		"header of 1 MB": {func(l, b string) string {
			return post + "Host: x\r\nX-Big: " + strings.Repeat("a", 1<<20) + "\r\n" + l + length(b) + "\r\n" + b
		}, []int{431}, 0},
		"absolute form": {func(l, b string) string {
			return "POST http://evil.test/webhooks/hooks/github HTTP/1.1\r\nHost: x\r\n" + l + length(b) + "\r\n" + b
		}, []int{200}, 1},
		"doubled slash": {func(l, b string) string {
			return "POST //webhooks/hooks/github HTTP/1.1\r\nHost: x\r\n" + l + length(b) + "\r\n" + b
		}, []int{404}, 0},
		"two on one line": {func(l, b string) string {
			return post + "Host: x\r\n" + l + length(b) + "\r\n" + b + post + "Host: x\r\n" + l + length(b) + "\r\n" + b
		}, []int{200, 200}, 1},
		"length and chunked": {func(l, b string) string {
			return post + "Host: x\r\n" + l + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b)
		}, []int{200}, 1},
		"bare line feeds": {func(l, b string) string {
			return strings.ReplaceAll(post+"Host: x\r\n"+l+length(b)+"\r\n", "\r\n", "\n") + b
		}, []int{200}, 1},
		// What another reader takes for one header is two here, and refused.
		"signature behind a line feed": {func(l, b string) string {
			return post + "Host: x\r\nX-A: b\nX-Hub-Signature-256: sha256=00\r\n" + l + length(b) + "\r\n" + b
		}, []int{401}, 0},
		"bare carriage return": {func(l, b string) string {
			return post + "Host: x\r\nX-A: b\rX-B: c\r\n" + l + length(b) + "\r\n" + b
		}, []int{400}, 0},
		"NUL in a header":      {func(l, b string) string { return post + "Host: x\r\nX-A: b\x00\r\n" + l + length(b) + "\r\n" + b }, []int{400}, 0},
		"header without colon": {func(l, b string) string { return post + "Host: x\r\nX-A\r\n" + l + length(b) + "\r\n" + b }, []int{400}, 0},
		"line feed after a chunk's size": {func(l, b string) string {
			return post + "Host: x\r\n" + l + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\n%s\r\n0\r\n\r\n", len(b), b)
		}, []int{400}, 0},
		"two encodings": {func(l, b string) string {
			return post + "Host: x\r\n" + l + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked(b)
		}, []int{501}, 0},
		"encoding of another spelling": {func(l, b string) string {
			return post + "Host: x\r\n" + l + length(b) + "Transfer-Encoding: xchunked\r\n\r\n" + chunked(b)
		}, []int{501}, 0},
		"chunked in HTTP/1.0": {func(l, b string) string {
			return "POST /webhooks/hooks/github HTTP/1.0\r\nHost: x\r\n" + l + "Transfer-Encoding: chunked\r\n" + length(b) + "\r\n" + chunked(b)
		}, []int{401}, 0},
		"space before colon of the length": {func(l, b string) string {
			return post + "Host: x\r\n" + l + fmt.Sprintf("Content-Length : %d\r\n\r\n", len(b)) + b
		}, []int{400}, 0},
		"header of 1 MB in many lines": {func(l, b string) string {
			return post + "Host: x\r\n" + strings.Repeat("X-Big: aaaaaaaaaaaaaaaaaaaaaaa\r\n", 1<<15) + l + length(b) + "\r\n" + b
		}, []int{431}, 0},
		"unread body then one": {func(l, b string) string {
			return "GET /webhooks/hooks/github HTTP/1.1\r\nHost: x\r\n" + length(b) + "\r\n" + b + post + "Host: x\r\n" + l + length(b) + "\r\n" + b
		}, []int{405}, 0},
	} {
		_, before, _ := f.store.counts()
		require.Equal(t, c.want, raw(t, s, c.request(signed())), name)
		_, after, _ := f.store.counts()
		require.Equal(t, c.events, after-before, name)
	}
}

func TestStopsReadingAHugeBodyAtTheLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder)
	s := server(t, f)
	c := dial(t, s)
	_, err := io.WriteString(c, "POST /webhooks/hooks/standard HTTP/1.1\r\nHost: x\r\nWebhook-Signature: v1,bad\r\nTransfer-Encoding: chunked\r\n\r\n")
	require.NoError(t, err)
	sent := make(chan int, 1)
	go func() {
		// A gigabyte, unless the server closes the connection.
		chunk := append([]byte("10000\r\n"), append(bytes.Repeat([]byte("x"), 1<<16), "\r\n"...)...)
		n := 0
		for ; n < 1<<14; n++ {
			if _, err := c.Write(chunk); err != nil {
				break
			}
		}
		sent <- n << 16
	}()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	require.True(t, response.Close)
	require.Less(t, <-sent, 64<<20, "what the server read, and what the kernel buffers")
	units, _, _ := f.store.counts()
	require.Zero(t, units)
}

func TestSlowSendersEndAndDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, emitOrder, func(c *Config) { c.BodyTimeout = 300 * time.Millisecond })
	s := server(t, f)
	slow := make([]net.Conn, 0, 200)
	for i := range cap(slow) {
		c := dial(t, s)
		text := "POST /webhooks/hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
		if i%4 == 0 {
			text = "POST /webhooks/hooks/github HTTP/1.1\r\nHost:" // and never a whole header
		}
		_, err := io.WriteString(c, text)
		require.NoError(t, err)
		slow = append(slow, c)
	}
	began := time.Now()
	r := request(t, "github", "d1", order("o1"))
	good, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/webhooks/hooks/github", bytes.NewReader(order("o1")))
	require.NoError(t, err)
	good.Header = r.Header
	response, err := s.Client().Do(good)
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Less(t, time.Since(began), time.Second)
	for i, c := range slow {
		answered, err := http.ReadResponse(bufio.NewReader(c), nil)
		if i%4 == 0 {
			// net/http closes without an answer, or with 408, as it likes.
			if err == nil {
				_ = answered.Body.Close()
			}
			continue
		}
		require.NoError(t, err, i)
		require.Equal(t, http.StatusRequestTimeout, answered.StatusCode)
		_ = answered.Body.Close()
	}
	require.Zero(t, f.budget.used)
}

// The read deadline is for the body only: a connection may be used again.
func TestAConnectionOutlivesTheBodyDeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	f := newFixture(t, emitOrder, func(c *Config) { c.BodyTimeout = 100 * time.Millisecond })
	var s *httptest.Server
	f.config.Observe = func(o Observation) {
		if o.Verdict == Accepted {
			<-release
		}
	}
	s = server(t, f)
	c := dial(t, s)
	r := request(t, "github", "d1", order("o1"))
	text := "POST /webhooks/hooks/github HTTP/1.1\r\nHost: x\r\nX-GitHub-Delivery: d1\r\nX-Hub-Signature-256: " +
		r.Header.Get("X-Hub-Signature-256") + "\r\nContent-Length: 11\r\n\r\n" + string(order("o1"))
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	// The answer takes longer than the deadline of the body.
	time.AfterFunc(300*time.Millisecond, func() { close(release) })
	reader := bufio.NewReader(c)
	for range 2 {
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		_, err = io.WriteString(c, text)
		require.NoError(t, err)
	}
}
