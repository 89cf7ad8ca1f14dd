package postgres

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// Nodes tell each other what they have recorded by NOTIFY, so that a sink at
// another node need not wait until it looks by itself. It is a hint and no more:
// it is sent after the commit and beside it (a NOTIFY in the transaction would make
// all commits of the database wait for each other), and one that is lost costs the
// time until somebody looks.
//
// LISTEN needs a connection to one server process for as long as it lasts. It goes
// to Options.Direct, or else to the store's own address where no pooler is in between.

const (
	// hintChannel is the name of the channel. Hints of several stores in one database
	// do no harm: they name connections by their ids.
	hintChannel = "weir_recorded"
	// hintEvery is the least time between two notifications of a node.
	hintEvery = 20 * time.Millisecond
	// hintSources is how many streams one notification names: it may have 8,000 bytes.
	hintSources = 40
	// hintQueue bounds the hints that nobody has taken yet.
	hintQueue = 1024
	// hintTimeout bounds sending, listenAgain is the longest wait before a listener
	// connects again.
	hintTimeout, listenAgain = 5 * time.Second, 30 * time.Second
)

// hints is what this node has to tell and is told.
type hints struct {
	mu sync.Mutex
	// heads are the streams to tell of.
	heads map[store.Source]int64
	send  chan struct{}
	got   chan store.Hint
}

func newHints() *hints {
	return &hints{heads: map[store.Source]int64{}, send: make(chan struct{}, 1), got: make(chan store.Hint, hintQueue)}
}

// notice is a notification as it is sent.
type notice struct {
	// Writer is the number of the process that sent it.
	Writer int64 `json:"w"`
	// Heads are the streams with their newest sequences.
	Heads []store.Hint `json:"h"`
}

var _ store.Hinting = (*Store)(nil)

// Hints returns what other processes say they have recorded.
func (s *Store) Hints() <-chan store.Hint { return s.hints.got }

// recorded tells the other nodes of a unit that was committed.
func (s *Store) recorded(u *store.Unit, receipt *store.Receipt) {
	if receipt.Appended == 0 || s.node.peers.Load() == 0 {
		return
	}
	s.hints.mu.Lock()
	for i, e := range receipt.Events {
		if !e.Duplicate && i < len(u.Emissions) {
			source := store.Source{ConnectionID: u.ConnectionID, Stream: u.Emissions[i].Stream}
			s.hints.heads[source] = max(s.hints.heads[source], e.Sequence)
		}
	}
	s.hints.mu.Unlock()
	wake(s.hints.send)
}

// tell sends hints until ctx ends.
func (s *Store) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.hints.send:
		}
		s.hints.mu.Lock()
		heads := s.hints.heads
		s.hints.heads = map[store.Source]int64{}
		s.hints.mu.Unlock()
		if err := s.notify(ctx, heads); err != nil && ctx.Err() == nil {
			s.options.Logger.Debug("other nodes could not be told what was recorded; they look by themselves", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(hintEvery):
		}
	}
}

func (s *Store) notify(ctx context.Context, heads map[store.Source]int64) error {
	ctx, cancel := context.WithTimeout(ctx, hintTimeout)
	defer cancel()
	n := notice{Writer: s.node.writer}
	for source, head := range heads {
		n.Heads = append(n.Heads, store.Hint{Source: source, Head: head})
		if len(n.Heads) < hintSources && len(n.Heads) < len(heads) {
			continue
		}
		text, err := json.Marshal(n)
		if err == nil {
			err = s.alive(ctx, func(conn *pgx.Conn) error {
				_, err := conn.Exec(ctx, "SELECT pg_notify($1, $2)", hintChannel, string(text))
				return err
			})
		}
		if err != nil {
			return err
		}
		for _, h := range n.Heads {
			delete(heads, h.Source)
		}
		n.Heads = nil
	}
	return nil
}

// listen takes hints until ctx ends.
func (s *Store) listen(ctx context.Context, config *pgx.ConnConfig) {
	wait := time.Second
	for {
		began := time.Now()
		err := s.listenOnce(ctx, config)
		if ctx.Err() != nil {
			return
		}
		s.options.Logger.Debug("listening for what other nodes record ended; it begins again", "err", err)
		if time.Since(began) > listenAgain {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, listenAgain)
	}
}

func (s *Store) listenOnce(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := connect(ctx, config)
	if err != nil {
		return err
	}
	defer closeNow(conn)
	if _, err := conn.Exec(ctx, "LISTEN "+hintChannel); err != nil {
		return err
	}
	for {
		got, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var n notice
		if json.Unmarshal([]byte(got.Payload), &n) != nil || n.Writer == s.node.writer {
			continue
		}
		for _, h := range n.Heads {
			select {
			case s.hints.got <- h:
			default: // whoever takes them looks by itself
			}
		}
	}
}
