package storetest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

// configured is a connection that is to be made, with its first revision.
func configured(name string) store.ConnectionChange {
	return store.ConnectionChange{
		Configured: store.Configured{
			Connection: store.Connection{
				ID: store.NewID("con_", start), Project: "default", Name: name, Connector: "http", Type: "sink", Enabled: true, CreatedAt: start,
			},
			State: store.DesiredRunning, Latest: 1, Deployed: 1, ManagedBy: store.ManagedByAPI, Form: "webhook", Labels: `{"team":"a"}`,
		},
		Spec: []byte(`{"name":"` + name + `"}`),
	}
}

// configure changes the configuration under a key of its own.
func (b *bundle) configure(t *testing.T, changes ...store.ConnectionChange) (store.Configuring, error) {
	t.Helper()
	return b.Configure(t.Context(), store.Configuration{
		Key: store.NewCommitID(), At: start, By: "ada", Message: "because", Connections: changes,
	})
}

func (b *bundle) named(t *testing.T, name string) store.Configured {
	t.Helper()
	c, err := b.ConfiguredNamed(t.Context(), "default", name)
	require.NoError(t, err)
	return c
}

var configurations = []contract{
	{"AreMadeChangedAndRead", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		made := configured("hook")
		first, err := b.configure(t, made)
		require.NoError(t, err)
		want := made.Configured
		want.Version, want.ChangedAt = first.Version, start
		require.Equal(t, want, b.named(t, "hook"))

		next := store.ConnectionChange{Configured: want, Spec: []byte(`{"v":2}`)}
		next.Name, next.Latest, next.State, next.Enabled = "renamed", 2, store.DesiredPaused, false
		second, err := b.configure(t, next)
		require.NoError(t, err)
		require.Greater(t, second.Version, first.Version)
		version, err := b.ConfigurationVersion(t.Context())
		require.NoError(t, err)
		require.Equal(t, second.Version, version)
		b.reopen(t)

		_, err = b.ConfiguredNamed(t.Context(), "default", "hook")
		require.ErrorIs(t, err, store.ErrNotFound)
		want = next.Configured
		want.Version, want.ChangedAt = second.Version, start
		require.Equal(t, want, b.named(t, "renamed"), "a rename keeps the id")
		one, err := b.Revision(t.Context(), want.ID, 2)
		require.NoError(t, err)
		require.Equal(t, store.Revision{ConnectionID: want.ID, Number: 2, Spec: []byte(`{"v":2}`), CreatedAt: start, By: "ada", Message: "because"}, one)
		_, err = b.Revision(t.Context(), want.ID, 3)
		require.ErrorIs(t, err, store.ErrNotFound)
		all, err := b.Revisions(t.Context(), want.ID, 0, 10)
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, int64(2), all[0].Number)
		before, err := b.Revisions(t.Context(), want.ID, 2, 10)
		require.NoError(t, err)
		require.Equal(t, all[1:], before)
		deployed, err := b.Deployments(t.Context(), []string{want.ID, "con_unknown"})
		require.NoError(t, err)
		require.Equal(t, []store.Deployment{{Configured: want, Spec: made.Spec}}, deployed)
		latest, err := b.LatestSpecs(t.Context(), []string{want.ID, b.con.ID, "con_unknown"})
		require.NoError(t, err)
		require.Equal(t, map[string][]byte{want.ID: []byte(`{"v":2}`)}, latest)
		everything, err := b.Deployments(t.Context(), nil)
		require.NoError(t, err)
		require.Len(t, everything, 2)
		require.Nil(t, everything[0].Spec, "what was never deployed has no spec")
		versions, err := b.ConfiguredVersions(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]int64{b.con.ID: 0, want.ID: second.Version}, versions)
	}},
	{"AreListedInPages", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		for _, name := range []string{"b_b", "b-a", "ba", "b"} {
			_, err := b.configure(t, configured(name))
			require.NoError(t, err)
		}
		var names []string
		for after := ""; ; {
			page, err := b.Configured(t.Context(), "default", after, 2)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				names, after = append(names, c.Name), c.Name
			}
		}
		require.Equal(t, []string{"acme", "b", "b-a", "b_b", "ba"}, names)
		other, err := b.Configured(t.Context(), "eu", "", 10)
		require.NoError(t, err)
		require.Empty(t, other)
	}},
	{"AdoptAConnectionOfBefore", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		adopted := configured("acme")
		adopted.Connection = b.con
		_, err := b.configure(t, adopted)
		require.NoError(t, err)
		require.Equal(t, b.con.ID, b.named(t, "acme").ID)
		require.Equal(t, int64(1), b.named(t, "acme").Deployed)
		again, err := b.EnsureConnection(t.Context(), b.con)
		require.NoError(t, err)
		require.Equal(t, b.con.ID, again.ID)
	}},
	{"RefuseTheChangeOfWhatWasChanged", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		made := configured("hook")
		_, err := b.configure(t, made)
		require.NoError(t, err)
		stale := store.ConnectionChange{Configured: b.named(t, "hook")}
		fresh := stale
		fresh.State = store.DesiredStopped
		_, err = b.configure(t, fresh)
		require.NoError(t, err)
		_, err = b.configure(t, stale)
		require.ErrorIs(t, err, store.ErrStale)
		_, err = b.configure(t, store.ConnectionChange{Configured: stale.Configured, Delete: true})
		require.ErrorIs(t, err, store.ErrStale)
		gap := store.ConnectionChange{Configured: b.named(t, "hook"), Spec: []byte("{}")}
		gap.Latest += 2
		_, err = b.configure(t, gap)
		require.ErrorIs(t, err, store.ErrStale, "revisions have no gaps")
		again := configured("hook")
		_, err = b.configure(t, again)
		require.ErrorIs(t, err, store.ErrExists)
		renamed := store.ConnectionChange{Configured: b.named(t, "hook")}
		renamed.Name = "acme"
		_, err = b.configure(t, renamed)
		require.ErrorIs(t, err, store.ErrExists)
		require.Equal(t, store.DesiredStopped, b.named(t, "hook").State)
	}},
	{"HappenAllOrNotAtAll", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		version, err := b.ConfigurationVersion(t.Context())
		require.NoError(t, err)
		_, err = b.configure(t, configured("one"), configured("two"), configured("acme"))
		require.ErrorIs(t, err, store.ErrExists)
		_, err = b.ConfiguredNamed(t.Context(), "default", "one")
		require.ErrorIs(t, err, store.ErrNotFound)
		after, err := b.ConfigurationVersion(t.Context())
		require.NoError(t, err)
		require.Equal(t, version, after)
	}},
	{"HappenOnceForOneKey", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		c := store.Configuration{
			Key: "default/k1", Digest: []byte("d1"), Answer: []byte("answer"), At: start, Connections: []store.ConnectionChange{configured("hook")},
		}
		first, err := b.Configure(t.Context(), c)
		require.NoError(t, err)
		require.False(t, first.Repeated)
		c.Connections, c.Answer = []store.ConnectionChange{configured("hook")}, []byte("other")
		again, err := b.Configure(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, store.Configuring{Version: first.Version, Repeated: true, Answer: []byte("answer")}, again)
		version, err := b.ConfigurationVersion(t.Context())
		require.NoError(t, err)
		require.Equal(t, first.Version, version)
		digest, answer, ok, err := b.Requested(t.Context(), c.Key)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, []string{"d1", "answer"}, []string{string(digest), string(answer)})
		_, _, ok, err = b.Requested(t.Context(), "default/k9")
		require.NoError(t, err)
		require.False(t, ok)
		c.Digest = []byte("d2")
		_, err = b.Configure(t.Context(), c)
		require.ErrorIs(t, err, store.ErrReused)
		c.At, c.Key = start.Add(store.RequestKeyAge+time.Hour), "default/k2"
		_, err = b.Configure(t.Context(), store.Configuration{Key: c.Key, At: c.At})
		require.NoError(t, err)
		c.Key, c.Connections = "default/k1", nil
		forgotten, err := b.Configure(t.Context(), c)
		require.NoError(t, err)
		require.False(t, forgotten.Repeated)
	}},
	{"OfDeletedConnectionsAreGone", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		made := configured("hook")
		_, err := b.configure(t, made)
		require.NoError(t, err)
		u := b.unit(fact("s", "1"))
		u.ConnectionID, u.Epoch = made.ID, Epoch(b, made.ID)
		b.commit(t, u)
		_, err = b.configure(t, store.ConnectionChange{Configured: b.named(t, "hook"), Delete: true})
		require.NoError(t, err)
		_, err = b.Commit(t.Context(), u)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = b.Revision(t.Context(), made.ID, 1)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, h.Trim(t.Context(), b.Store))
		again := configured("hook")
		_, err = b.configure(t, again)
		require.NoError(t, err)
		require.Equal(t, again.ID, b.named(t, "hook").ID, "a name that is used again has another id")
		all, err := b.AllRevisions(t.Context(), "", 0, 10)
		require.NoError(t, err)
		require.Len(t, all, 1)
	}},
	{"KeepProjects", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		change := func(p store.ProjectChange) error {
			_, err := b.Configure(t.Context(), store.Configuration{Key: store.NewCommitID(), At: start, Projects: []store.ProjectChange{p}})
			return err
		}
		names := func() (names []string) {
			projects, err := b.Projects(t.Context())
			require.NoError(t, err)
			for _, p := range projects {
				names = append(names, p.Name)
			}
			return names
		}
		require.Equal(t, []string{"default"}, names())
		inside := configured("hook")
		inside.Project = "eu"
		_, err := b.configure(t, inside)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, change(store.ProjectChange{Name: "eu", Description: "Europe"}))
		require.ErrorIs(t, change(store.ProjectChange{Name: "eu"}), store.ErrExists)
		require.NoError(t, change(store.ProjectChange{Name: "as"}))
		require.Equal(t, []string{"as", "default", "eu"}, names())
		_, err = b.configure(t, inside)
		require.NoError(t, err)
		projects, err := b.Projects(t.Context())
		require.NoError(t, err)
		eu := projects[2]
		require.Equal(t, "Europe", eu.Description)
		require.Equal(t, start, eu.CreatedAt)
		require.ErrorIs(t, change(store.ProjectChange{Name: "eu", Version: eu.Version, Delete: true}), store.ErrNotEmpty)
		require.ErrorIs(t, change(store.ProjectChange{Name: "eu", Version: eu.Version + 1}), store.ErrStale)
		require.ErrorIs(t, change(store.ProjectChange{Name: "none", Delete: true}), store.ErrNotFound)
		require.ErrorIs(t, change(store.ProjectChange{Name: "default", Delete: true}), store.ErrInvalid)
		require.NoError(t, change(store.ProjectChange{Name: "default", Description: "ours"}))
		require.NoError(t, change(store.ProjectChange{Name: "as", Version: projects[0].Version, Delete: true}))
		require.Equal(t, []string{"default", "eu"}, names())
	}},
	{"AreRewrittenOnlyAsTheyWereRead", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		made := configured("hook")
		_, err := b.configure(t, made)
		require.NoError(t, err)
		require.NoError(t, b.RewriteRevision(t.Context(), made.ID, 1, made.Spec, []byte(`{"sealed":2}`)))
		require.ErrorIs(t, b.RewriteRevision(t.Context(), made.ID, 1, made.Spec, []byte(`{}`)), store.ErrStale)
		all, err := b.AllRevisions(t.Context(), "", 0, 10)
		require.NoError(t, err)
		require.Equal(t, `{"sealed":2}`, string(all[0].Spec))
		rest, err := b.AllRevisions(t.Context(), made.ID, 1, 10)
		require.NoError(t, err)
		require.Empty(t, rest)
	}},
	{"ThatCannotBeKeptAreRefusedWithEverything", func(t *testing.T, h Harness) {
		b := setup(t, h, Settings{})
		bad := configured("hook")
		bad.State, bad.Connector = "sleeping", ""
		_, err := b.Configure(t.Context(), store.Configuration{Connections: []store.ConnectionChange{bad}})
		require.ErrorIs(t, err, store.ErrInvalid)
		for _, part := range []string{"key", "no time", "no connector", `"sleeping"`} {
			require.ErrorContains(t, err, part)
		}
	}},
	{"AreWhollyOldOrWhollyNewAfterAFailure", configurationFailpoints},
}

// configurationFailpoints fails at every statement of every kind of change in
// turn. What is read after it is all of the old or all of the new.
func configurationFailpoints(t *testing.T, h Harness) {
	p := &trap{}
	b := setup(t, h, Settings{Failpoint: p.failpoint})
	_, err := b.configure(t, configured("hook"))
	require.NoError(t, err)
	for statement := int64(1); ; statement++ {
		now, old := b.named(t, "hook"), configured("old"+strconv.FormatInt(statement, 10))
		_, err := b.configure(t, old)
		require.NoError(t, err)
		next := store.ConnectionChange{Configured: now, Spec: fmt.Appendf(nil, `{"statement":%d}`, statement)}
		next.Latest, next.Deployed = now.Latest+1, now.Latest+1
		added := configured("new" + strconv.FormatInt(statement, 10))
		c := store.Configuration{
			Key: store.NewCommitID(), At: start, Projects: []store.ProjectChange{{Name: "p" + strconv.FormatInt(statement, 10)}},
			Connections: []store.ConnectionChange{{Configured: b.named(t, old.Name), Delete: true}, next, added},
		}
		p.set(statement)
		_, err = b.Configure(t.Context(), c)
		sprung := p.sprung()
		p.set(0)
		require.Equal(t, sprung, err != nil, "statement %d: %v", statement, err)
		b.agree(t, now, next, old.Name, added.Name, c.Projects[0].Name, err == nil)
		if err == nil {
			require.Greater(t, statement, int64(10), "the failpoint is not called between statements")
			return
		}
		require.ErrorIs(t, err, store.ErrUnavailable)
		_, err = b.Configure(t.Context(), c)
		require.NoError(t, err, "the same change after the failure of statement %d", statement)
		b.agree(t, now, next, old.Name, added.Name, c.Projects[0].Name, true)
	}
}

// agree checks that all parts of a change are there, or none.
func (b *bundle) agree(t *testing.T, before store.Configured, next store.ConnectionChange, deleted, added, project string, is bool) {
	t.Helper()
	now := b.named(t, before.Name)
	_, revision := b.Revision(t.Context(), before.ID, next.Latest)
	_, gone := b.ConfiguredNamed(t.Context(), "default", deleted)
	_, there := b.ConfiguredNamed(t.Context(), "default", added)
	projects, err := b.Projects(t.Context())
	require.NoError(t, err)
	made := false
	for _, p := range projects {
		made = made || p.Name == project
	}
	require.Equal(t, is, now.Latest == next.Latest && now.Deployed == next.Deployed)
	require.Equal(t, is, now.Version != before.Version)
	require.Equal(t, is, revision == nil)
	require.Equal(t, is, gone != nil)
	require.Equal(t, is, there == nil)
	require.Equal(t, is, made)
}
