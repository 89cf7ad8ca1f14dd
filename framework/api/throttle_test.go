package api

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func clocked() (*throttle, *time.Time) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return newThrottle(func() time.Time { return now }), &now
}

func guesser(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x0a000000+uint32(i))
	return netip.AddrFrom4(b)
}

func TestOneAddressMayGuessSeldom(t *testing.T) {
	t.Parallel()
	th, now := clocked()
	from, other := guesser(1), guesser(2)
	for range guessesAtOnce {
		require.Zero(t, th.wait(from))
		th.wrong(from)
	}
	require.Positive(t, th.wait(from))
	require.Zero(t, th.wait(other), "another address is not this one")
	*now = now.Add(guessEach)
	require.Zero(t, th.wait(from))
	th.wrong(from)
	require.Positive(t, th.wait(from))
	*now = now.Add(-time.Hour)
	require.Positive(t, th.wait(from), "a clock that steps back gives nothing")
	*now = now.Add(25 * time.Hour)
	require.Zero(t, th.wait(from))
}

func TestANetworkOfOneCustomerIsOneAddress(t *testing.T) {
	t.Parallel()
	th, _ := clocked()
	for i := range guessesAtOnce {
		th.wrong(netip.MustParseAddr("2001:db8:1:2::" + string(rune('a'+i%6))))
	}
	require.Positive(t, th.wait(netip.MustParseAddr("2001:db8:1:2:ffff::1")))
	require.Zero(t, th.wait(netip.MustParseAddr("2001:db8:1:3::1")))
	for range guessesAtOnce {
		th.wrong(netip.MustParseAddr("::ffff:192.0.2.1"))
	}
	require.Positive(t, th.wait(netip.MustParseAddr("192.0.2.1")), "one address has two spellings")
}

func TestAFloodFromEverywhereIsBoundedAndKeepsKnownAddressesIn(t *testing.T) {
	t.Parallel()
	th, now := clocked()
	known := guesser(0)
	th.right(known)
	for i := range 3 * maxGuessers {
		th.wrong(guesser(i + 1))
	}
	require.LessOrEqual(t, len(th.guessers), maxGuessers)
	require.Positive(t, th.wait(guesser(1_000_000)), "an address that nobody knows waits")
	require.Zero(t, th.wait(known))
	*now = now.Add(time.Hour)
	require.Zero(t, th.wait(guesser(1_000_000)))
	for i := range 2 * maxKnown {
		th.right(guesser(i))
	}
	require.LessOrEqual(t, len(th.known), maxKnown)
	require.Zero(t, th.wait(netip.Addr{}), "an address that cannot be read is one of its own")
}
