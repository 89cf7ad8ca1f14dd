package cataloglock_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/tools/cataloglock"
)

// sample is a lock with everything in it.
func sample() cataloglock.Lock {
	return cataloglock.Lock{
		Connectors: []cataloglock.Connector{
			{Key: "b", Package: "example.com/b"},
			{
				Key: "a", Package: "example.com/a",
				Streams: []cataloglock.Stream{
					{Key: "z", Mode: catalog.ModeWebhook, RenamedFrom: "y", Identity: []string{"EventKey(ID)"}},
					{Key: "c", Mode: catalog.ModePoll, Cursor: &cataloglock.Cursor{Type: "0123", Version: 2, Migrates: []int{0, 1}}, Window: true, Backfill: true},
				},
				Endpoints: []cataloglock.Endpoint{{Path: "in", Auth: catalog.AuthGitHub}},
			},
		},
		Accepted: []cataloglock.Acceptance{{Rule: "SC505", Subject: "a.x", Was: "sha256:0", Reason: "<it> was & is empty"}},
	}
}

func TestALockIsCanonical(t *testing.T) {
	t.Parallel()
	file := sample().Encode()
	read, err := cataloglock.Decode(file)
	require.NoError(t, err)
	require.Equal(t, string(file), string(read.Encode()))
	require.Equal(t, []string{"a", "b"}, []string{read.Connectors[0].Key, read.Connectors[1].Key})
	require.Contains(t, string(file), "<it> was & is empty", "texts stay readable")
	require.Equal(t, sample().Digest(), read.Digest())
	require.Contains(t, string(file), read.Digest())
	reasons := sample()
	reasons.Accepted = nil
	require.Equal(t, sample().Digest(), reasons.Digest(), "a reason changes nothing that is promised")
}

func TestWhatIsNoLockIsRefused(t *testing.T) {
	t.Parallel()
	file := string(sample().Encode())
	for name, broken := range map[string]string{
		"nothing":       "",
		"a merge":       "<<<<<<< ours\n" + file,
		"two":           file + file,
		"another field": strings.Replace(file, `"mode"`, `"more": 1, "mode"`, 1),
		"a later one":   strings.Replace(file, `"format": 1`, `"format": 2`, 1),
		"a list":        "[]",
	} {
		_, err := cataloglock.Decode([]byte(broken))
		require.ErrorIs(t, err, cataloglock.ErrFormat, name)
	}
	edited, err := cataloglock.Decode([]byte(strings.Replace(file, `"key": "z"`, `"key": "w"`, 1)))
	require.ErrorIs(t, err, cataloglock.ErrEdited)
	require.Equal(t, "w", edited.Connectors[0].Streams[1].Key)
}

func TestAChangeIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	before, now := sample(), sample()
	now.Connectors = now.Connectors[1:]
	now.Connectors[0].Streams = now.Connectors[0].Streams[1:]
	open := cataloglock.Open(cataloglock.Compare(before, now))
	require.Len(t, open, 2)
	require.Equal(t, []string{"b", "a.z"}, []string{open[0].Subject, open[1].Subject})

	_, err := cataloglock.Accept(before, now, "a.z", " ")
	require.ErrorContains(t, err, "reason")
	_, err = cataloglock.Accept(before, now, "a.nothing", "why")
	require.ErrorContains(t, err, "b, a.z")
	accepted, err := cataloglock.Accept(before, now, "a.z", "nobody reads it")
	require.NoError(t, err)
	require.Len(t, cataloglock.Open(cataloglock.Compare(before, accepted)), 1)

	// Another version of the same stream needs a reason of its own.
	before.Connectors[1].Streams[0].Identity = []string{"VersionKey(ID)"}
	require.Len(t, cataloglock.Open(cataloglock.Compare(before, accepted)), 2)
	_, err = cataloglock.Accept(now, now, "a.z", "why")
	require.ErrorContains(t, err, "no change needs a reason")
}

func TestCursorsOnlyGrowAndAreMigrated(t *testing.T) {
	t.Parallel()
	at := func(kind string, version int, migrates ...int) cataloglock.Lock {
		return cataloglock.Lock{Connectors: []cataloglock.Connector{{Key: "a", Streams: []cataloglock.Stream{
			{Key: "s", Mode: catalog.ModePoll, Cursor: &cataloglock.Cursor{Type: kind, Version: version, Migrates: migrates}},
		}}}}
	}
	for _, c := range []struct {
		before, now cataloglock.Lock
		says        string
	}{
		{at("x", 1), at("x", 1), ""},
		{at("x", 1), at("y", 1), "set CursorVersion: 2 and add framework.FromVersion(1, …)"},
		{at("x", 1), at("y", 2), "nothing reads the cursors of version 1"},
		{at("x", 1), at("y", 2, 1), ""},
		{at("x", 1), at("x", 2), "nothing reads the cursors of version 1"},
		{at("x", 2), at("x", 1), "went back from 2 to 1"},
		{at("x", 1), at("y", 3, 2), "nothing reads the cursors of version 1"},
	} {
		changes := cataloglock.Compare(c.before, c.now)
		if c.says == "" {
			require.Empty(t, changes)
			continue
		}
		require.Len(t, changes, 1)
		require.Equal(t, "SC506", changes[0].Rule)
		require.Contains(t, changes[0].Message, c.says)
	}
}

// A lock that is compared with itself, whatever is in it, has not changed.
func TestNoChangeIsNoChange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[a-z]{1,2}`)
		var l cataloglock.Lock
		for _, c := range rapid.SliceOfNDistinct(key, 0, 3, rapid.ID).Draw(t, "connectors") {
			one := cataloglock.Connector{Key: c}
			for _, s := range rapid.SliceOfNDistinct(key, 0, 4, rapid.ID).Draw(t, "streams") {
				one.Streams = append(one.Streams, cataloglock.Stream{
					Key: s, Mode: catalog.ModePoll, RenamedFrom: rapid.OneOf(key, rapid.Just("")).Draw(t, "before"),
					Cursor: &cataloglock.Cursor{Type: "x", Version: rapid.IntRange(0, 2).Draw(t, "version")},
				})
			}
			l.Connectors = append(l.Connectors, one)
		}
		if changes := cataloglock.Compare(l, l); len(changes) > 0 {
			t.Fatalf("%+v", changes)
		}
		read, err := cataloglock.Decode(l.Encode())
		if err != nil || len(cataloglock.Compare(l, read)) > 0 {
			t.Fatalf("a lock changes on disk: %v", err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(sample().Encode())
	f.Add([]byte(`{"format":1,"digest":"","connectors":null}`))
	f.Add([]byte(`{"format":1,"connectors":[{"key":"a","streams":[{"key":"s","cursor":{}}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := cataloglock.Decode(b)
		if l.Connectors == nil {
			return
		}
		file := l.Encode()
		again, encodeErr := cataloglock.Decode(file)
		if encodeErr != nil {
			t.Fatalf("what was read (%v) cannot be written: %v", err, encodeErr)
		}
		if string(again.Encode()) != string(file) {
			t.Fatal("the canonical form is not stable")
		}
		cataloglock.Compare(l, again)
		cataloglock.Compare(again, sample())
	})
}

func TestKeysThatAreMadeOtherwiseAreAChange(t *testing.T) {
	t.Parallel()
	one := func(s cataloglock.Stream) cataloglock.Lock {
		s.Key, s.Mode = "s", catalog.ModeWebhook
		return cataloglock.Lock{Connectors: []cataloglock.Connector{{Key: "a", Streams: []cataloglock.Stream{s}}}}
	}
	was := one(cataloglock.Stream{Identity: []string{"EventKey(ID)"}})
	changes := cataloglock.Compare(was, one(cataloglock.Stream{Identity: []string{"EventKey(Number)"}}))
	require.Len(t, changes, 1)
	require.Equal(t, "SC507", changes[0].Rule)
	require.Contains(t, changes[0].Message, "EventKey(Number)")
	require.Empty(t, cataloglock.Compare(was, one(cataloglock.Stream{})), "where it cannot be told, nothing is said")
	require.Empty(t, cataloglock.Compare(was, was))

	ranges := one(cataloglock.Stream{Window: true, Backfill: true})
	changes = cataloglock.Compare(ranges, one(cataloglock.Stream{Window: true}))
	require.Len(t, changes, 1)
	require.Contains(t, changes[0].Message, "no longer reads the ranges")
}
