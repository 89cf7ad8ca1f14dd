//go:build unix

package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/store"
)

func TestACommandIsAnsweredByTheNodeThatHasTheConnection(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	one := open(t, Options{URL: url})
	observer := open(t, Options{URL: url, Observe: true})
	con := connection(t, one, "acme")
	require.Eventually(t, func() bool { _, ok := one.Epoch(con.ID); return ok }, time.Minute, time.Millisecond)
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := observer.Ask(t.Context(), con.ID, []byte("run"))
		answers <- answer{text, err}
	}()
	var taken []store.Command
	require.Eventually(t, func() bool {
		var err error
		taken, err = one.Commands(t.Context())
		return err == nil && len(taken) == 1
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, "run", string(taken[0].Request))
	again, err := one.Commands(t.Context())
	require.NoError(t, err)
	require.Empty(t, again, "a command is taken once")
	require.NoError(t, one.Answer(t.Context(), taken[0].ID, []byte("done")))
	a := <-answers
	require.NoError(t, a.err)
	require.Equal(t, "done", string(a.text))

	// Nobody answers: it is taken back.
	ctx, cancel := context.WithTimeout(t.Context(), 2*commandPoll)
	defer cancel()
	_, err = observer.Ask(ctx, con.ID, []byte("run"))
	require.ErrorIs(t, err, store.ErrUnavailable)
	var left int
	require.NoError(t, dial(t, url).QueryRow(t.Context(), "SELECT count(*) FROM commands").Scan(&left))
	require.Zero(t, left)
}

func TestEveryOtherNodeIsAskedAndNobodyTwice(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	nodes := []*Store{open(t, Options{URL: url}), open(t, Options{URL: url}), open(t, Options{URL: url})}
	require.Eventually(t, func() bool { return nodes[0].Peers() == 2 && nodes[1].Peers() == 2 }, time.Minute, time.Millisecond)
	serve := func(s *Store) (served int) {
		taken, err := s.Commands(t.Context())
		require.NoError(t, err)
		for _, c := range taken {
			require.Equal(t, "what came in?", string(c.Request))
			require.NoError(t, s.Answer(t.Context(), c.ID, []byte("nothing")))
		}
		return len(taken)
	}
	type outcome struct {
		answers [][]byte
		asked   int
		err     error
	}
	ask := func(ctx context.Context) <-chan outcome {
		done := make(chan outcome, 1)
		go func() {
			answers, asked, err := nodes[0].AskPeers(ctx, []byte("what came in?"))
			done <- outcome{answers, asked, err}
		}()
		return done
	}
	done := ask(t.Context())
	served := []int{0, 0, 0}
	require.Eventually(t, func() bool {
		for i, s := range nodes {
			served[i] += serve(s)
		}
		return served[1] > 0 && served[2] > 0
	}, time.Minute, 10*time.Millisecond)
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, 2, got.asked)
	require.Equal(t, []string{"nothing", "nothing"}, []string{string(got.answers[0]), string(got.answers[1])})
	require.Equal(t, []int{0, 1, 1}, served, "who asked was asked, or somebody twice")

	// One does not answer: the other's answer is there in time, and nothing is left.
	ctx, cancel := context.WithTimeout(t.Context(), 10*commandPoll)
	defer cancel()
	done = ask(ctx)
	require.Eventually(t, func() bool { return serve(nodes[2]) == 1 }, time.Minute, 10*time.Millisecond)
	got = <-done
	require.NoError(t, got.err)
	require.Equal(t, 2, got.asked)
	require.Len(t, got.answers, 1)
	var left int
	require.NoError(t, dial(t, url).QueryRow(t.Context(), "SELECT count(*) FROM commands").Scan(&left))
	require.Zero(t, left)
}

func TestACommandWhoseAskerHasDiedIsForgotten(t *testing.T) {
	t.Parallel()
	url := usedDatabase(t)
	s := open(t, Options{URL: url, Observe: true}) // with no upkeep of its own
	conn := dial(t, url)
	_, err := conn.Exec(t.Context(), `INSERT INTO commands (id, shard, request, asked_at) VALUES
		('cmd_old', 1, '', now() - interval '61 minutes'), ('cmd_new', 1, '', now() - interval '59 minutes')`)
	require.NoError(t, err)
	// Another process is removing it at this moment.
	other, err := dial(t, url).Begin(t.Context())
	require.NoError(t, err)
	_, err = other.Exec(t.Context(), "SELECT FROM commands WHERE id = 'cmd_old' FOR UPDATE")
	require.NoError(t, err)
	trimmed := make(chan error, 1)
	go func() { trimmed <- s.Trim(t.Context()) }()
	require.Eventually(t, func() bool {
		var n int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM commands%'`).Scan(&n)
		require.NoError(t, err)
		return n > 0
	}, time.Minute, 5*time.Millisecond, "it does not wait for who has locked the row")
	require.NoError(t, other.Rollback(t.Context()))
	require.NoError(t, <-trimmed)
	var left string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT string_agg(id, ' ') FROM commands").Scan(&left))
	require.Equal(t, "cmd_new", left)
}
