package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store"
)

// eraseSpan is how many sequences of a stream one transaction looks through.
const eraseSpan = 20_000

// Erase blanks what is known of an entity. The old rows are gone from the files
// once VACUUM has been there, which the server does by itself.
func (s *Store) Erase(ctx context.Context, connectionID, entity string) (store.Erasure, error) {
	if !validText(connectionID) {
		return store.Erasure{}, fmt.Errorf("erase entity: %w", store.ErrNotFound)
	}
	now, err := list(ctx, s, "read clock", "SELECT clock_timestamp()", pgx.RowTo[time.Time])
	if err != nil {
		return store.Erasure{}, err
	}
	out, err := store.NewErasure(s.secret, connectionID, entity, now[0])
	if err != nil {
		return store.Erasure{}, fmt.Errorf("erase entity: %w", err)
	}
	type stream struct {
		Connection int32
		Num        *int32
		Head       *int64
	}
	streams, err := list(ctx, s, "list streams", `SELECT c.num AS connection, s.num AS num, s.head AS head FROM connections c
		LEFT JOIN streams s ON s.connection = c.num WHERE c.id = $1 AND c.deleted_at IS NULL`, pgx.RowToStructByName[stream], connectionID)
	if err == nil && len(streams) == 0 {
		err = fmt.Errorf("erase entity: connection %q: %w", connectionID, store.ErrNotFound)
	}
	if err != nil {
		return store.Erasure{}, err
	}
	for _, one := range streams {
		if one.Num == nil {
			continue
		}
		for after := int64(0); after < *one.Head; after += eraseSpan {
			err := s.erase(ctx, &out.Events, `UPDATE events SET payload = 'null'::bytea WHERE connection = $1 AND stream = $2
				AND sequence > $3 AND sequence <= $4 AND subject = $5 AND NOT deletion AND payload <> 'null'::bytea`,
				one.Connection, *one.Num, after, min(after+eraseSpan, *one.Head), []byte(entity))
			if err != nil {
				return store.Erasure{}, err
			}
		}
	}
	connection := streams[0].Connection
	for _, form := range store.ErasureForms(entity) {
		for _, step := range []struct {
			counted *int
			table   string
			owner   any
			query   string
		}{
			{&out.Deliveries, "stored_deliveries", connection, `UPDATE stored_deliveries SET dead = true, ending = 2, header = NULL, body = NULL, bytes = 0,
				last_error = '', note = 'erased' WHERE connection = $1 AND (NOT dead OR ending <> 2) AND (HOLDS(body) OR HOLDS(header))`},
			{&out.SinkCopies, "parked", connection, "UPDATE parked SET event = NULL WHERE source = $1 AND HOLDS(event)"},
			{&out.SinkCopies, "dead_events", connectionID, `UPDATE dead_events SET event = NULL, request = NULL, response = NULL, discarded = true, note = 'erased'
				WHERE source_id = $1 AND (HOLDS(event) OR HOLDS(request) OR HOLDS(response))`},
		} {
			query := step.query
			for _, column := range []string{"body", "header", "event", "request", "response"} {
				query = strings.ReplaceAll(query, "HOLDS("+column+")", "position($2::bytea IN "+column+") > 0")
			}
			if err := s.erase(ctx, step.counted, query, step.owner, form); err != nil {
				return store.Erasure{}, err
			}
		}
	}
	name, value, err := out.State()
	if err != nil {
		return store.Erasure{}, fmt.Errorf("record erasure: %w", err)
	}
	ignored := 0
	err = s.erase(ctx, &ignored, "INSERT INTO states (connection, name, value, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		connection, name, value, out.At)
	if err != nil {
		return store.Erasure{}, err
	}
	return out, nil
}

// erase runs one statement in a transaction and counts its rows.
func (s *Store) erase(ctx context.Context, counted *int, query string, args ...any) error {
	var n int64
	err := s.change(ctx, "erase entity", func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query, args...)
		n = tag.RowsAffected()
		return err
	})
	*counted += int(n)
	return err
}
