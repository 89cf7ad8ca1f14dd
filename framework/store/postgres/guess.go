package postgres

import (
	"maps"

	"github.com/weirhq/weir/framework/store/groupcommit"
)

// guesses is what a writer believes of the database: that the streams are as it has
// left them, and that what comes has not come before. For most batches of webhooks
// both are true. A transaction that believes it asks for nothing first: it is sent
// as a whole, in one round trip, and the server refuses it where a belief is wrong.
// Then it is made again in the ordinary way.
//
// Nothing is weaker for that. The heads are locked in their order before anything is
// written, and must be the very rows that the writer's last transaction left; that
// a key, an entity or a delivery is new is what the tables' own keys say.
type guesses struct {
	nums  map[string]int32
	heads map[groupcommit.StreamKey]guessedHead
	// rest is how many transactions are made in the ordinary way before the next
	// guess; wrong is how long the last rest was.
	rest, wrong int
}

// guessedHead is a head as it was written, and the transaction that wrote it.
type guessedHead struct {
	groupcommit.Head
	version int64
}

// mostRest bounds the rests: where duplicates are common, guessing costs.
const mostRest = 256

// guess reports whether t can be made of beliefs, and notes them.
func (t *tx) guess(w groupcommit.Wanted) bool {
	g := &t.guesses
	if g.rest > 0 {
		g.rest--
		return false
	}
	if t.savepoint || len(w.Leased)+len(w.Checkpoints)+len(w.Runs) > 0 || len(t.ahead.streams) == 0 {
		return false
	}
	nums, streams, versions := int4s(), int4s(), int8s()
	for _, k := range t.ahead.streams {
		known, ok := g.heads[k]
		if !ok {
			return false
		}
		nums.int4(g.nums[k.ConnectionID])
		streams.int4(int32(known.ID))
		versions.int8(known.version)
	}
	connections := int4s()
	for _, id := range w.Connections {
		num, ok := g.nums[id]
		if !ok {
			return false
		}
		connections.int4(num)
		t.nums[id] = num
	}
	for _, k := range t.ahead.streams {
		head := g.heads[k].Head
		t.ahead.heads[k] = &head
	}
	t.guessing = true
	t.waiting = append(t.waiting,
		call{
			what: "lock known connections", args: append(columns(connections), int8Argument(int64(len(w.Connections)))), zero: errRace,
			sql: `SELECT 1 / (count(*) = $2)::int FROM (SELECT FROM connections
				WHERE num = ANY ($1) AND deleted_at IS NULL ORDER BY num FOR KEY SHARE) c`,
		},
		t.lockWriter(),
		call{
			what: "lock known heads", args: append(columns(nums, streams, versions), int8Argument(int64(len(t.ahead.streams)))), zero: errRace,
			sql: `SELECT 1 / (count(*) = $4)::int FROM (SELECT FROM unnest($1, $2, $3) u (connection, num, version)
				JOIN streams s ON s.connection = u.connection AND s.num = u.num
				WHERE s.xmin::text::bigint = u.version
					AND NOT EXISTS (SELECT FROM former_keys f WHERE f.connection = s.connection AND f.key = s.stream) ORDER BY s.num FOR UPDATE OF s) h`,
		})
	return true
}

// lockWriter locks the process's row among the writers: whoever opens a connection
// after this one waits for it, see Reopen.
func (t *tx) lockWriter() call {
	return call{what: "lock writer", sql: "SELECT FROM writers WHERE num = $1 FOR NO KEY UPDATE", args: []argument{int8Argument(t.writer)}}
}

// committed makes beliefs of what is committed.
func (t *tx) committed() {
	g := &t.guesses
	if t.guessing {
		g.wrong = 0
	}
	for k := range t.streams {
		delete(g.heads, k)
	}
	if t.savepoint || t.version == 0 {
		return // rows below a savepoint are marked otherwise
	}
	if g.heads == nil {
		t.forget()
	}
	maps.Copy(g.nums, t.nums)
	for _, h := range t.written {
		g.heads[groupcommit.StreamKey{ConnectionID: h.ConnectionID, Stream: h.Stream}] = guessedHead{h, t.version}
	}
	if len(g.heads) > mostGuesses {
		t.forget()
	}
}

// mostGuesses bounds the heads that are remembered.
const mostGuesses = 10_000

// mistaken is called when a transaction has failed. It rests from guessing the
// longer the more guesses in a row were wrong.
func (t *tx) mistaken() {
	if t.guessing {
		g := &t.guesses
		g.wrong = min(2*g.wrong+1, mostRest)
		g.rest = g.wrong
	}
}

// forget gives up all beliefs.
func (b *backend) forget() {
	b.guesses.nums, b.guesses.heads = map[string]int32{}, map[groupcommit.StreamKey]guessedHead{}
}
