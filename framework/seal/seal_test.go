package seal_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/seal"
)

const canary = "canary-Q7w-secret-of-a-provider"

func keys(t *testing.T, texts ...string) *seal.Keys {
	t.Helper()
	k, err := seal.ParseKeys(strings.Join(texts, "\n"))
	require.NoError(t, err)
	require.NotNil(t, k)
	return k
}

func sealed(t *testing.T, k *seal.Keys, connection, path, value string) string {
	t.Helper()
	s, err := k.Seal(connection, path, value)
	require.NoError(t, err)
	return s
}

func TestASealedSecretOpensAtItsPlaceOnly(t *testing.T) {
	t.Parallel()
	k := keys(t, seal.NewKey())
	for _, value := range []string{canary, "", "x", strings.Repeat("é", 1000), "a\x00b"} {
		s := sealed(t, k, "con_a", "headers[1].value", value)
		require.True(t, seal.IsSealed(s))
		require.Equal(t, k.ID(), seal.KeyID(s))
		require.NotContains(t, s, canary)
		opened, err := k.Open("con_a", "headers[1].value", s)
		require.NoError(t, err)
		require.Equal(t, value, opened)
		require.NotEqual(t, s, sealed(t, k, "con_a", "headers[1].value", value), "the same secret twice is not the same text")
		for _, place := range [][2]string{{"con_b", "headers[1].value"}, {"con_a", "headers[0].value"}, {"con_aheaders", "[1].value"}, {"", ""}} {
			_, err = k.Open(place[0], place[1], s)
			require.ErrorIs(t, err, seal.ErrBroken, "%v", place)
		}
	}
}

func TestAChangedTextNeverOpens(t *testing.T) {
	t.Parallel()
	k := keys(t, seal.NewKey())
	s := sealed(t, k, "con_a", "key", canary)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=: \n"
	for i := range len(s) {
		for _, c := range alphabet {
			if changed := s[:i] + string(c) + s[i+1:]; changed != s {
				_, err := k.Open("con_a", "key", changed)
				require.Error(t, err, "%d %q", i, c)
			}
		}
		_, err := k.Open("con_a", "key", s[:i])
		require.Error(t, err)
	}
	_, err := k.Open("con_a", "key", s+"A")
	require.Error(t, err)
}

func TestWithoutAKeyNothingIsSealedAndTheErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	none, err := seal.ParseKeys(" \n# a comment\n,")
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = none.Seal("con_a", "key", canary)
	require.ErrorIs(t, err, seal.ErrNoKey)
	require.ErrorContains(t, err, "weir secrets generate-key")
	require.NotContains(t, err.Error(), canary)
	_, err = none.Open("con_a", "key", "weir:sealed:v1:x:y")
	require.ErrorIs(t, err, seal.ErrNoKey)
	require.Empty(t, none.Fingerprint(canary))
	require.Empty(t, none.ID())
}

func TestKeysOfAnotherFormAreRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	good := seal.NewKey()
	zero := "weirkey_" + strings.Repeat("A", 43)
	for text, want := range map[string]string{
		"hunter2-hunter2":                   "does not begin with weirkey_",
		good[:len(good)-1]:                  "43 characters of base64url",
		good + "A":                          "43 characters of base64url",
		zero:                                "all zeros",
		good + "," + good:                   "1 and 2 are the same",
		strings.Repeat(good+" ", 17):        "17 secret keys",
		good + "\n" + "weirkey_not-it \n x": "secret key 2",
	} {
		_, err := seal.ParseKeys(text)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), good[8:20])
	}
	// The last character of 43 carries 4 bits: its other spellings are no key.
	accepted := 0
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if _, err := seal.ParseKeys(good[:len(good)-1] + string(c)); err == nil {
			accepted++
		}
	}
	require.Equal(t, 16, accepted)
	require.Len(t, slices.Compact([]string{good, seal.NewKey()}), 2)
}

func TestDigestsOfDocumentsAreKeyed(t *testing.T) {
	t.Parallel()
	a, err := seal.ParseKeys(seal.NewKey())
	require.NoError(t, err)
	b, err := seal.ParseKeys(seal.NewKey())
	require.NoError(t, err)
	document := []byte(`{"key":"` + canary + `"}`)
	first := a.Digest(document)
	require.Equal(t, first, a.Digest(document))
	require.NotEqual(t, first, a.Digest(append(document, ' ')))
	require.NotEqual(t, a.Digest(document), b.Digest(document), "who has no key cannot try secrets")
	require.NotEqual(t, a.Digest(document), (*seal.Keys)(nil).Digest(document))
	require.Len(t, a.Digest(nil), 32)
}

func TestFingerprintsAreKeyedAndShort(t *testing.T) {
	t.Parallel()
	a, b := keys(t, seal.NewKey()), keys(t, seal.NewKey())
	first := a.Fingerprint(canary)
	require.Len(t, first, 8)
	require.Equal(t, first, a.Fingerprint(canary))
	require.NotEqual(t, a.Fingerprint(canary), a.Fingerprint(canary+"x"))
	require.NotEqual(t, a.Fingerprint(canary), b.Fingerprint(canary))
	require.Empty(t, a.Fingerprint("short"), "all short ones could be tried")
}

func TestANewKeyTakesOverWhileTheOldOneStillOpens(t *testing.T) {
	t.Parallel()
	first, second := seal.NewKey(), seal.NewKey()
	old := keys(t, first)
	value := func(path string) string { return sealed(t, old, "con_a", path, canary+path) }
	document := `{"b": 1.50, "headers": [{"name":"X"}, {"value":"` + value("headers[1].value") + `"}],` + "\n" +
		` "api":{"key":"` + value("api.key") + `","plain":"<é\u00e9>"}, "a":"` + value("a") + `", "big":9007199254740993}`
	both := keys(t, second, first)
	out, n, err := both.Reseal("con_a", []byte(document), "")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.True(t, json.Valid(out))
	// Everything but the secrets is as it was.
	require.Equal(t, blank(document), blank(string(out)))
	count, stale, err := both.Check("con_a", out, "")
	require.NoError(t, err)
	require.Equal(t, 3, count)
	require.Zero(t, stale)
	again, n, err := both.Reseal("con_a", out, "")
	require.NoError(t, err)
	require.Zero(t, n, "what is done is not done again")
	require.Equal(t, out, again)

	spec := []byte(`{"config":` + document + `,"description":"` + value("description") + `"}`)
	rewritten, n, err := both.Reseal("con_a", spec, "config")
	require.NoError(t, err)
	require.Equal(t, 3, n, "what is no setting is not ours")
	require.Equal(t, blank(string(spec)), blank(string(rewritten)))
	_, stale, err = both.Check("con_a", rewritten, "config")
	require.NoError(t, err)
	require.Zero(t, stale)

	alone := keys(t, second)
	_, _, err = alone.Check("con_a", out, "")
	require.NoError(t, err, "the old key is needed no more")
	_, stale, err = alone.Check("con_a", []byte(document), "")
	require.ErrorIs(t, err, seal.ErrUnknownKey)
	require.Equal(t, 3, stale)
	_, _, err = alone.Check("con_b", out, "")
	require.ErrorIs(t, err, seal.ErrBroken)
}

func blank(document string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(document, `"weir:sealed:`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, document, _ = strings.Cut(after, `"`)
	}
}

func TestOneSecretThatDoesNotOpenKeepsNoOtherOneBack(t *testing.T) {
	t.Parallel()
	first, second := seal.NewKey(), seal.NewKey()
	old := keys(t, first)
	document := `{"description":"weir:sealed:v1:nonsense:AAAA","key":"` + sealed(t, old, "con_a", "key", canary) + `"}`
	out, n, err := keys(t, second, first).Reseal("con_a", []byte(document), "")
	require.ErrorContains(t, err, "setting description")
	require.Equal(t, 1, n)
	require.Contains(t, string(out), `"description":"weir:sealed:v1:nonsense:AAAA"`)
	for _, bad := range []string{"", "{", `{"a":1}x`, strings.Repeat("[", 200) + strings.Repeat("]", 200), `{"a"`} {
		out, n, err := old.Reseal("con_a", []byte(bad), "")
		require.Error(t, err, bad)
		require.Zero(t, n)
		require.Equal(t, bad, string(out))
	}
}

func TestWhatIsSealedIsNotSealedTwice(t *testing.T) {
	t.Parallel()
	k := keys(t, seal.NewKey())
	_, err := k.Seal("con_a", "key", sealed(t, k, "con_b", "key", canary))
	require.ErrorContains(t, err, "sealed secret already")
	_, err = k.Seal("con_a", "key", strings.Repeat("x", seal.MaxPlaintext+1))
	require.ErrorContains(t, err, "limit")
}

func FuzzOpen(f *testing.F) {
	k, err := seal.ParseKeys(seal.NewKey())
	require.NoError(f, err)
	good, err := k.Seal("con_a", "key", canary)
	require.NoError(f, err)
	f.Add(good)
	f.Add("weir:sealed:v1::")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := k.Open("con_a", "key", text)
		if text != good {
			require.Error(t, err)
		}
		_, _, _ = k.Reseal("con_a", []byte(text), "")
	})
}
