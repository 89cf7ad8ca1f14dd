//go:build unix

package postgres

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a store and its server and cuts connections.
type proxy struct {
	listener net.Listener
	target   string
	// onCommit, if set, is taken by the next COMMIT that a client sends.
	onCommit atomic.Pointer[cut]
	mu       sync.Mutex
	open     map[net.Conn]bool
	running  sync.WaitGroup
}

// cut says how a connection is cut at a COMMIT. Exactly one is done.
type cut struct {
	// forward sends the COMMIT on; the server's answer is not passed back.
	forward bool
	// delay, if set, cuts the client off at once, keeps the server's side open
	// and sends the COMMIT on when it is closed: the network had it for a while.
	delay chan struct{}
	// done is closed when the client was cut off.
	done chan struct{}
}

// newProxy returns a proxy to the server of a database's URL, and the URL
// through it.
func newProxy(t testing.TB, to string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(to)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, target: u.Host, open: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.close()
		p.running.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.keep(client, server)
		muted := &atomic.Bool{}
		p.running.Go(func() { p.down(client, server, muted) })
		p.running.Go(func() { p.up(client, server, muted) })
	}
}

func (p *proxy) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.open[c] = true
	}
}

func (p *proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.open, c)
	}
}

// close takes no new connections and cuts the open ones. It may be called twice.
func (p *proxy) close() {
	_ = p.listener.Close()
	p.cutAll()
}

// cutAll cuts all connections.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

// down passes the server's words to the client.
func (p *proxy) down(client, server net.Conn, muted *atomic.Bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 && !muted.Load() {
			_, err = client.Write(buf[:n])
		}
		if err != nil || muted.Load() {
			p.drop(client)
			if !muted.Load() {
				p.drop(server)
			}
			return
		}
	}
}

// up passes the client's words to the server.
func (p *proxy) up(client, server net.Conn, muted *atomic.Bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if n > 0 && bytes.Contains(buf[:n], []byte("COMMIT\x00")) {
			if c := p.onCommit.Swap(nil); c != nil {
				p.cut(c, client, server, muted, buf[:n])
				return
			}
		}
		if n > 0 {
			if _, writeErr := server.Write(buf[:n]); writeErr != nil {
				err = writeErr
			}
		}
		if err != nil {
			p.drop(client, server)
			return
		}
	}
}

func (p *proxy) cut(c *cut, client, server net.Conn, muted *atomic.Bool, commit []byte) {
	defer p.drop(client, server)
	switch {
	case c.delay != nil:
		muted.Store(true)
		p.drop(client)
		close(c.done)
		<-c.delay
		_, _ = server.Write(commit)
		// The server closes its side only when it is told to: read its answer first.
		_, _ = server.Read(make([]byte, 4096))
	case c.forward:
		muted.Store(true)
		// The answer is swallowed by down, which then cuts the client off.
		_, _ = server.Write(commit)
		_, _ = client.Read(make([]byte, 1))
		close(c.done)
	default:
		p.drop(client, server)
		close(c.done)
	}
}
