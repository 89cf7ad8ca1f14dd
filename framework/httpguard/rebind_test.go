package httpguard_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/httpguard"
)

// nameServer answers each question for an address with what it is told to.
type nameServer struct {
	mu      sync.Mutex
	answers []netip.Addr
}

func (s *nameServer) say(answers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = nil
	for _, a := range answers {
		s.answers = append(s.answers, netip.MustParseAddr(a))
	}
}

// resolver returns one that asks this server and nobody else.
func (s *nameServer) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	l, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := l.ReadFrom(packet)
			if err != nil {
				return
			}
			_, _ = l.WriteTo(s.answer(packet[:n]), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", l.LocalAddr().String())
	}}
}

// answer is the response to one question: RFC 1035, section 4.1.
func (s *nameServer) answer(question []byte) []byte {
	end := 12
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root, type and class
	kind := question[end-3]
	out := append([]byte{question[0], question[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[12:end]...)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.answers {
		if kind != 1 { // only A
			break
		}
		ip := a.As4()
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, ip[:]...)
		out[7]++
	}
	return out
}

func serveOn(t *testing.T, address string) (port string, seen *atomic.Int64) {
	t.Helper()
	seen = &atomic.Int64{}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("this machine has no %s", address) //nolint:forbidigo // some systems have one loopback address only
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		seen.Add(1)
		_, _ = io.WriteString(w, "here")
	})}}
	s.Start()
	t.Cleanup(s.Close)
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port, seen
}

// 127.0.0.2 stands for the public address, 127.0.0.1 for a private one.
func TestANameCannotBeReboundToAPrivateAddress(t *testing.T) {
	t.Parallel()
	port, open := serveOn(t, "127.0.0.2:0")
	_, secret := serveOn(t, "127.0.0.1:"+port)
	names := &nameServer{}
	guard := httpguard.New(httpguard.Config{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, Resolver: names.resolver(t)})
	t.Cleanup(guard.Close)
	get := func() error {
		client := guard.Client([]string{"http://rebind.test"})
		defer guard.Close() // else the connection that is open is used again
		response, err := client.Get("http://rebind.test:" + port)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	names.say("127.0.0.2")
	require.NoError(t, get())
	names.say("127.0.0.1")
	require.ErrorIs(t, get(), httpguard.ErrAddressRefused)
	for _, mixed := range [][]string{{"127.0.0.1", "127.0.0.2"}, {"127.0.0.2", "127.0.0.1"}} {
		names.say(mixed...)
		require.NoError(t, get(), "the public address is used")
	}
	require.Equal(t, int64(3), open.Load())
	require.Zero(t, secret.Load(), "nothing reached the private one")
}
