package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/dashboard/dashboardtest"
)

// pipes is a listener in memory, whose deadlines follow the test's clock.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

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

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accept <- server
	return client
}

// TestABodyThatNeverComesHoldsNoConnection: what is refused unread ends soon,
// whatever its sender announces and keeps back.
func TestABodyThatNeverComesHoldsNoConnection(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{
		"unknown path":    "POST /nowhere HTTP/1.1\r\nHost: localhost\r\n",
		"foreign host":    "POST /logout HTTP/1.1\r\nHost: evil.test\r\n",
		"foreign origin":  "POST /logout HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.test\r\n",
		"no token":        "POST /api/v1/connections/a/sync/b HTTP/1.1\r\nHost: localhost\r\n",
		"body of a probe": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
		"login":           "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n",
	} {
		for _, framing := range []string{"Transfer-Encoding: chunked\r\n\r\n", "Content-Length: 1000\r\n\r\ntoken="} {
			synctest.Test(t, func(t *testing.T) {
				front, err := dashboardtest.Busy(noon).Open(api.ListenPolicy{Listen: "127.0.0.1:1", Token: adminToken}, nil, nil)
				require.NoError(t, err)
				listener := newPipes()
				server := &http.Server{Handler: front.Handler, ReadHeaderTimeout: 10 * time.Second}
				go func() { _ = server.Serve(listener) }()
				defer func() { _ = server.Close() }()
				defer front.API.CloseFeeds()
				c := listener.dial()
				defer func() { _ = c.Close() }()
				began := time.Now()
				require.NoError(t, c.SetDeadline(began.Add(time.Minute)))
				_, err = io.WriteString(c, start+framing)
				require.NoError(t, err)
				response, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
				}
				require.NoError(t, err, "%s, %s", name, framing)
				_, _ = io.Copy(io.Discard, c) // until the server closes the connection
				require.Less(t, time.Since(began), 45*time.Second, "%s, %s", name, framing)
			})
		}
	}
}
