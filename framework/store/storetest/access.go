package storetest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

func token(name string) store.Token {
	return store.Token{
		ID: store.NewID("tok_", start), Name: name, Role: "viewer", Project: "eu", Digest: sha256.Sum256([]byte(name)),
		CreatedBy: "admin", CreatedAt: start, ExpiresAt: start.Add(time.Hour),
	}
}

var access = []contract{
	{"TokensAreKeptUntilRevoked", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		one, other := token("ci"), token("ops ü")
		other.ExpiresAt, other.Project = time.Time{}, ""
		require.NoError(t, b.CreateToken(t.Context(), one))
		require.NoError(t, b.CreateToken(t.Context(), other))
		require.NoError(t, b.CreateToken(t.Context(), one), "once more is the same")
		again := token("ci")
		require.ErrorIs(t, b.CreateToken(t.Context(), again), store.ErrNameTaken)
		b.reopen(t)

		got, err := b.Tokens(t.Context())
		require.NoError(t, err)
		require.ElementsMatch(t, []store.Token{one, other}, got)

		revoked, err := b.RevokeToken(t.Context(), one.ID, start.Add(time.Minute))
		require.NoError(t, err)
		one.RevokedAt = start.Add(time.Minute)
		require.Equal(t, one, revoked)
		for _, id := range []string{one.ID, "tok_none", "", "a\x00b"} {
			_, err = b.RevokeToken(t.Context(), id, start.Add(2*time.Minute))
			require.ErrorIs(t, err, store.ErrNotFound, id)
		}
		got, err = b.Tokens(t.Context())
		require.NoError(t, err)
		require.Equal(t, []store.Token{other}, got)
		again.Digest = sha256.Sum256([]byte("another"))
		require.NoError(t, b.CreateToken(t.Context(), again), "its name is free again")
	}},
	{"TokensAreRefusedThatCouldNotBeRead", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for _, spoil := range []func(*store.Token){
			func(x *store.Token) { x.ID = "" }, func(x *store.Token) { x.Name = "" }, func(x *store.Token) { x.Role = "" },
			func(x *store.Token) { x.Digest = [32]byte{} }, func(x *store.Token) { x.CreatedAt = time.Time{} },
			func(x *store.Token) { x.Name = "a\x00b" }, func(x *store.Token) { x.Name = "\xff" }, func(x *store.Token) { x.Project = strings.Repeat("x", 600) },
		} {
			one := token("x")
			spoil(&one)
			require.ErrorIs(t, b.CreateToken(t.Context(), one), store.ErrInvalid)
		}
		got, err := b.Tokens(t.Context())
		require.NoError(t, err)
		require.Empty(t, got)
	}},
	{"OneNameIsGivenOnce", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		var work sync.WaitGroup
		failures := make(chan error, 8)
		for i := range 8 {
			one := token("the name")
			one.Digest = sha256.Sum256([]byte{byte(i)})
			work.Go(func() { failures <- b.CreateToken(t.Context(), one) })
		}
		work.Wait()
		close(failures)
		taken := 0
		for err := range failures {
			if err != nil {
				require.ErrorIs(t, err, store.ErrNameTaken)
				taken++
			}
		}
		require.Equal(t, 7, taken)
	}},
	{"AuditEntriesAreListedAndTrimmed", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		var all []store.AuditEntry
		for i := range 10 {
			at := start.Add(time.Duration(i) * time.Minute)
			e := store.AuditEntry{
				ID: store.NewID("aud_", at), At: at, Actor: fmt.Sprintf("actor %d", i%2), Role: "admin", Address: "127.0.0.1", Action: "POST /x",
				Project: "default", Connection: "acme", Detail: "revision 7", Status: 200 + i,
			}
			all = append([]store.AuditEntry{e}, all...)
			require.NoError(t, b.RecordAudit(t.Context(), e))
			require.NoError(t, b.RecordAudit(t.Context(), e), "once more is the same")
		}
		b.reopen(t)
		entries := func(q store.AuditQuery, limit int) []store.AuditEntry {
			got, err := b.AuditEntries(t.Context(), q, limit)
			require.NoError(t, err)
			return got
		}
		require.Equal(t, all, entries(store.AuditQuery{}, 100))
		require.Equal(t, all[3:5], entries(store.AuditQuery{Before: all[2].ID}, 2))
		require.Len(t, entries(store.AuditQuery{Actor: "actor 1", Project: "default", Connection: "acme"}, 100), 5)
		require.Empty(t, entries(store.AuditQuery{Project: "eu"}, 100))
		require.Empty(t, entries(store.AuditQuery{Actor: "a\x00"}, 100))
		require.Equal(t, all[4:6], entries(store.AuditQuery{From: all[5].At, To: all[3].At}, 100))

		trim := func(before time.Time, keep int) int {
			n, err := b.TrimAudit(t.Context(), before, keep)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, trim(start, 10))
		require.Equal(t, 2, trim(start, 8), "the oldest beyond the number")
		require.Equal(t, 3, trim(all[4].At, 100), "those from before")
		require.Equal(t, all[:5], entries(store.AuditQuery{}, 100))
	}},
	{"AuditEntriesAreKeptWhateverTheyHold", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		require.NoError(t, b.RecordAudit(t.Context(), store.AuditEntry{
			ID: "aud_1", At: start, Actor: "a\x00b\xff", Detail: strings.Repeat("é", 1000), Action: "POST \n\x1b[2J",
		}))
		got, err := b.AuditEntries(t.Context(), store.AuditQuery{}, 10)
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Equal(t, "a\ufffdb\ufffd", got[0].Actor)
		require.LessOrEqual(t, len(got[0].Detail), 512)
		require.ErrorIs(t, b.RecordAudit(t.Context(), store.AuditEntry{At: start}), store.ErrInvalid)
	}},
}
