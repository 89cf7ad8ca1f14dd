package intake

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener in memory, whose deadlines follow the test's clock.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// TestABodyThatNobodyWantsHoldsNoConnection: what is refused unread ends soon,
// whatever its sender announces and keeps back.
func TestABodyThatNobodyWantsHoldsNoConnection(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{
		"unknown endpoint": "POST /webhooks/hooks/nowhere HTTP/1.1\r\nHost: a\r\n",
		"wrong method":     "PUT /webhooks/hooks/github HTTP/1.1\r\nHost: a\r\n",
		"encoded body":     "POST /webhooks/hooks/github HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n",
		"good so far":      "POST /webhooks/hooks/github HTTP/1.1\r\nHost: a\r\n",
	} {
		for _, framing := range []string{"Transfer-Encoding: chunked\r\n\r\n", "Content-Length: 1000\r\n\r\n{"} {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, emitOrder)
				listener := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
				server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
				go func() { _ = server.Serve(listener) }()
				defer func() { _ = server.Close() }()
				c, served := net.Pipe()
				defer func() { _ = c.Close() }()
				listener.accept <- served
				began := time.Now()
				require.NoError(t, c.SetDeadline(began.Add(2*time.Minute)))
				_, err := io.WriteString(c, start+framing)
				require.NoError(t, err)
				answer, _ := io.ReadAll(c) // until the server closes the connection
				require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 4"), "%s, %s: %s", name, framing, answer)
				require.Less(t, time.Since(began), 45*time.Second, "%s, %s", name, framing)
			})
		}
	}
}
