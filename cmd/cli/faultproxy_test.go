//go:build cgo && unix

package cli_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// trouble is what a proxy does to connections.
type trouble string

const (
	calm     trouble = "calm"
	latency  trouble = "latency"
	resets   trouble = "resets"
	halfOpen trouble = "half-open"
	drip     trouble = "slow drip"
	cut      trouble = "truncated answers"
	refused  trouble = "refused"
)

// faultProxy stands between a sink and its receiver.
type faultProxy struct {
	addr, target string

	mu    sync.Mutex
	now   trouble
	conns map[net.Conn]bool
	work  sync.WaitGroup
}

func newFaultProxy(t *testing.T, target string) *faultProxy {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &faultProxy{addr: l.Addr().String(), target: target, now: calm, conns: map[net.Conn]bool{}}
	p.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.work.Go(func() { p.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.become(resets)
		p.work.Wait()
	})
	return p
}

// become changes the trouble. Resets end what is open.
func (p *faultProxy) become(now trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = now
	if now == resets || now == refused {
		for c := range p.conns {
			reset(c)
		}
	}
}

// reset ends a connection with RST.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *faultProxy) is() trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *faultProxy) hold(c net.Conn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.conns[c] = true
	} else {
		delete(p.conns, c)
	}
}

// carry is one connection.
func (p *faultProxy) carry(c net.Conn) {
	p.hold(c, true)
	defer p.hold(c, false)
	defer func() { _ = c.Close() }()
	if now := p.is(); now == refused || now == resets {
		reset(c)
		return
	}
	server, err := new(net.Dialer).Dial("tcp", p.target)
	if err != nil {
		reset(c)
		return
	}
	defer func() { _ = server.Close() }()
	p.hold(server, true)
	defer p.hold(server, false)
	var ways sync.WaitGroup
	ways.Go(func() { p.copy(server, c, false) })
	ways.Go(func() { p.copy(c, server, true) })
	ways.Wait()
}

// copy carries one way of a connection, as the trouble of the moment allows.
func (p *faultProxy) copy(to, from net.Conn, answers bool) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		part := buffer[:n]
		switch p.is() {
		case latency:
			<-time.After(120 * time.Millisecond)
		case halfOpen:
			part = nil // it is swallowed, and nobody hears of it
		case resets, refused:
			reset(to)
			return
		case drip:
			for len(part) > 0 && p.is() == drip {
				if _, err := to.Write(part[:1]); err != nil {
					return
				}
				part = part[1:]
				<-time.After(5 * time.Millisecond)
			}
		case cut:
			if answers {
				_, _ = to.Write(part[:min(n, 20)])
				return
			}
		case calm:
		}
		if _, writeErr := to.Write(part); writeErr != nil || err != nil {
			return
		}
	}
}
