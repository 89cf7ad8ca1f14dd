package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
	"github.com/weirhq/weir/ingest"
)

var (
	insertEvents = repeat("INSERT INTO events (id, type, subject, deletion, key, time, recorded_at, late, payload) VALUES ",
		"(?,?,?,?,?,?,?,?,?)", "")
	insertDeliveries = repeat("INSERT INTO delivery_keys (connection, endpoint, hash, delivery_id, first_event, at) VALUES ",
		"(?,?,?,?,?,?)", "")
	insertKeys  = repeat("INSERT INTO keys (stream, hash, sequence) VALUES ", "(?,?,?)", "")
	putEntities = repeat("INSERT INTO keys (stream, hash, time, payload, sequence, revision, latest) VALUES ", "(?,?,?,?,?,?,?)",
		` ON CONFLICT DO UPDATE SET time = excluded.time, payload = excluded.payload, sequence = excluded.sequence,
			revision = excluded.revision, latest = excluded.latest`)
)

// Write writes the changes of a batch.
func (t *tx) Write(_ context.Context, c *groupcommit.Changes) error {
	for _, step := range []struct {
		what string
		do   func(*groupcommit.Changes) error
	}{
		{"events", t.writeEvents},
		{"keys", t.writeKeys},
		{"entities", t.writeEntities},
		{"heads", t.writeHeads},
		{"checkpoints", t.writeCheckpoints},
		{"runs", t.writeRuns},
		{"hourly counts", t.writeHourly},
		{"delivery keys", t.writeDeliveries},
		{"stored deliveries", t.writeStored},
		{"states", t.writeStates},
		{"deliveries of sinks", t.writeSinks},
	} {
		if err := step.do(c); err != nil {
			return fmt.Errorf("write %s: %w", step.what, err)
		}
	}
	if _, err := t.conn.exec("UPDATE writer SET marker = ? WHERE id = 1", c.Marker); err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	t.pages += len(c.Heads) + len(c.Keys) + len(c.Entities) + 3
	return nil
}

func (t *tx) writeEvents(c *groupcommit.Changes) error {
	return inChunks(len(c.Events), func(from, size int) error {
		t.args = t.args[:0]
		for i := range c.Events[from : from+size] {
			e := &c.Events[from+i]
			t.pages += 1 + len(e.Payload)>>12
			t.args = append(t.args, rowid(e.Head.ID, e.Sequence), e.Type, e.Subject, number(e.Operation == ingest.Deletion), e.Key,
				e.Time.UnixMicro(), e.RecordedAt.UnixMicro(), number(e.Late), blob(e.Payload))
		}
		_, err := t.conn.exec(insertEvents[size], t.args...)
		return err
	})
}

func (t *tx) writeKeys(c *groupcommit.Changes) error {
	return inChunks(len(c.Keys), func(from, size int) error {
		t.args = t.args[:0]
		for _, k := range c.Keys[from : from+size] {
			t.args = append(t.args, k.Head.ID, k.Hash[:], k.Sequence)
		}
		_, err := t.conn.exec(insertKeys[size], t.args...)
		return err
	})
}

func (t *tx) writeEntities(c *groupcommit.Changes) error {
	return inChunks(len(c.Entities), func(from, size int) error {
		t.args = t.args[:0]
		for _, e := range c.Entities[from : from+size] {
			t.args = append(t.args, e.Head.ID, e.Hash[:], e.Time.UnixMicro(), e.Payload[:], e.Sequence, e.Revision, number(e.Latest))
		}
		_, err := t.conn.exec(putEntities[size], t.args...)
		return err
	})
}

func (t *tx) writeHeads(c *groupcommit.Changes) error {
	for _, h := range c.Heads {
		_, err := t.conn.exec(`UPDATE streams SET head = ?, duplicates = ?, last_success_at = ?, next_run_at = ?,
			last_error = ?, last_error_class = ?, last_error_at = ?, failures = ? WHERE num = ?`,
			h.Head, h.Duplicates, optional(h.LastSuccessAt), optional(h.NextRunAt),
			h.LastError, h.LastErrorClass, optional(h.LastErrorAt), int64(h.ConsecutiveFailures), h.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) writeCheckpoints(c *groupcommit.Changes) error {
	for i := range c.Checkpoints {
		p := &c.Checkpoints[i]
		_, err := t.conn.exec(`INSERT INTO checkpoints (connection, stream, lane, commit_id, previous, cursor, cursor_version, cursor_digest,
				window_from, window_to, window_done, run_id, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET commit_id = excluded.commit_id, previous = excluded.previous, cursor = excluded.cursor,
				cursor_version = excluded.cursor_version, cursor_digest = excluded.cursor_digest, window_from = excluded.window_from,
				window_to = excluded.window_to, window_done = excluded.window_done, run_id = excluded.run_id, updated_at = excluded.updated_at`,
			t.nums[p.ConnectionID], p.Stream, p.Lane, p.CommitID, p.Previous, blob(p.Cursor), int64(p.CursorVersion), p.CursorDigest,
			optional(p.From), optional(p.To), optional(p.WindowDone), p.RunID, p.UpdatedAt.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) writeRuns(c *groupcommit.Changes) error {
	for i := range c.Runs {
		r := &c.Runs[i]
		_, err := t.conn.exec(`INSERT INTO runs (id, connection, stream, trigger, state, epoch, started_at, finished_at, pages, events, duplicates,
				error, error_class, stack) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT (id) DO UPDATE SET trigger = excluded.trigger, state = excluded.state, epoch = excluded.epoch,
				started_at = excluded.started_at, finished_at = excluded.finished_at, pages = pages + excluded.pages,
				events = events + excluded.events, duplicates = duplicates + excluded.duplicates,
				error = excluded.error, error_class = excluded.error_class, stack = excluded.stack`,
			r.ID, t.nums[r.ConnectionID], r.Stream, r.Trigger, string(r.State), r.Epoch, optional(r.StartedAt), optional(r.FinishedAt),
			r.Pages, r.Events, r.Duplicates, r.Error, r.ErrorClass, r.Stack)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) writeHourly(c *groupcommit.Changes) error {
	for i := range c.Hourly {
		h := &c.Hourly[i]
		_, err := t.conn.exec(`INSERT INTO hourly (stream, hour, events, duplicates, runs, failures)
			SELECT num, ?, ?, ?, ?, ? FROM streams WHERE connection = ? AND stream = ?
			ON CONFLICT DO UPDATE SET events = events + excluded.events, duplicates = duplicates + excluded.duplicates,
				runs = runs + excluded.runs, failures = failures + excluded.failures`,
			h.Hour.Unix(), h.Events, h.Duplicates, h.Runs, h.Failures, t.nums[h.ConnectionID], h.Stream)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) writeDeliveries(c *groupcommit.Changes) error {
	return inChunks(len(c.Deliveries), func(from, size int) error {
		t.args = t.args[:0]
		for i := range c.Deliveries[from : from+size] {
			d := &c.Deliveries[from+i]
			t.args = append(t.args, t.nums[d.ConnectionID], d.Endpoint, d.Hash[:], d.DeliveryID, d.First, d.At.UnixMicro())
		}
		_, err := t.conn.exec(insertDeliveries[size], t.args...)
		return err
	})
}

func (t *tx) writeStored(c *groupcommit.Changes) error {
	for i := range c.Keep {
		d := &c.Keep[i]
		args := []driver.Value{
			t.nums[d.ConnectionID], d.ID, d.Endpoint, d.Key, optional(d.ReceivedAt), blob(d.Header), blob(d.Body),
			int64(d.Attempts), optional(d.NextAttemptAt), number(d.Dead || d.Kept), d.LastError,
			store.EndingOf(*d), int64(len(d.Header) + len(d.Body)), optional(d.WrittenAt), optional(d.ExpiresAt),
		}
		t.pages += len(d.Body)>>12 + 1
		_, err := t.conn.exec(`INSERT INTO stored_deliveries (connection, id, endpoint, key, received_at, header, body, attempts,
				next_attempt_at, dead, last_error, ending, bytes, written_at, expires_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT (connection, id) DO UPDATE SET endpoint = excluded.endpoint, key = excluded.key, received_at = excluded.received_at,
				header = excluded.header, body = excluded.body, attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at,
				dead = excluded.dead, last_error = excluded.last_error, ending = excluded.ending, bytes = excluded.bytes,
				written_at = excluded.written_at, expires_at = excluded.expires_at`, args...)
		if err != nil {
			return err
		}
	}
	for _, d := range c.Settle {
		if _, err := t.conn.exec("DELETE FROM stored_deliveries WHERE connection = ? AND id = ?", t.nums[d.ConnectionID], d.ID); err != nil {
			return err
		}
	}
	return nil
}
