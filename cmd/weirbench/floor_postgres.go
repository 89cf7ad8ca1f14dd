package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/weirhq/weir/framework/store/postgres"
)

// postgresFloor writes the rows that Weir writes, a batch in one round trip.
type postgresFloor struct {
	conn       *pgx.Conn
	connection int32
	stream     int32
	sequence   int64
}

func openPostgresFloor(ctx context.Context, url, stream string) (f *postgresFloor, err error) {
	s, err := postgres.Open(ctx, postgres.Options{URL: url})
	if err != nil {
		return nil, err
	}
	prepared := prepareStore(ctx, s, stream)
	if err := errors.Join(prepared, s.Close()); err != nil { //nolint:contextcheck // closing does not end with ctx
		return nil, err
	}
	f = &postgresFloor{}
	if f.conn, err = pgx.Connect(ctx, url); err != nil {
		return nil, err
	}
	return f, f.conn.QueryRow(ctx, "SELECT connection, num, head FROM streams WHERE stream = $1", stream).Scan(&f.connection, &f.stream, &f.sequence)
}

func (f *postgresFloor) commit(batch []*row) error {
	n := len(batch)
	ids, first, subjects, texts, payloads := make([]string, n), make([]string, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	entities, keys, deliveries, hashes := make([][16]byte, n), make([][16]byte, n), make([][16]byte, n), make([][16]byte, n)
	times, sequences := make([]time.Time, n), make([]int64, n)
	for i, one := range batch {
		f.sequence++
		ids[i], first[i], subjects[i], texts[i], payloads[i] = one.id, one.first, []byte(one.subject), []byte("v/"+one.subject+"/1"), one.payload
		entities[i], keys[i], deliveries[i], hashes[i] = one.entity, one.key, one.delivery, one.payloadHash
		times[i], sequences[i] = one.at, f.sequence
	}
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue("INSERT INTO delivery_keys SELECT $1, 'orders', u.h, u.d, u.f, u.a FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) u (h, d, f, a) ON CONFLICT DO NOTHING",
		f.connection, deliveries, ids, first, times)
	b.Queue("INSERT INTO keys SELECT $1, $2, u.h, u.s FROM unnest($3::uuid[], $4::bigint[]) u (h, s) ON CONFLICT DO NOTHING", f.connection, f.stream, keys, sequences)
	b.Queue(`INSERT INTO entities SELECT $1, $2, u.h, u.p, u.a, u.s, 1, false FROM unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::bigint[]) u (h, p, a, s)
		ON CONFLICT (connection, stream, hash) DO UPDATE SET time = excluded.time, payload = excluded.payload, sequence = excluded.sequence,
			revision = entities.revision + 1 WHERE entities.time <= excluded.time`, f.connection, f.stream, entities, hashes, times, sequences)
	b.Queue(`INSERT INTO events (connection, stream, segment, sequence, deletion, late, time, recorded_at, type, subject, key, payload)
		SELECT $1, $2, 1, u.s, false, false, u.a, u.a, 'order', u.i, u.k, u.p
		FROM unnest($3::bigint[], $4::timestamptz[], $5::bytea[], $6::bytea[], $7::bytea[]) u (s, a, i, k, p)`,
		f.connection, f.stream, sequences, times, subjects, texts, payloads)
	b.Queue("UPDATE streams SET head = $1, last_success_at = $2 WHERE connection = $3 AND num = $4", f.sequence, batch[0].at, f.connection, f.stream)
	b.Queue(`INSERT INTO hourly VALUES ($1, $2, date_trunc('hour', $3::timestamptz), $4, 0, 0, 0)
		ON CONFLICT (connection, stream, hour) DO UPDATE SET events = hourly.events + excluded.events`, f.connection, f.stream, batch[0].at, n)
	b.Queue("COMMIT")
	return f.conn.SendBatch(context.Background(), b).Close()
}

func (f *postgresFloor) close() error { return f.conn.Close(context.Background()) }

func serveFloorPostgres(ctx context.Context, o childOptions, ready func(addr string)) (int64, error) {
	f, err := openPostgresFloor(ctx, o.Postgres, Orders.Key())
	if err != nil {
		return 0, err
	}
	return serveFloor(ctx, f, o.Secret, ready)
}
