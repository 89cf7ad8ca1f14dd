package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/store"
)

// A run that found nothing new has only its success and its next due time to
// record. With thousands of such streams that would be most of what is written,
// so it is kept in memory for a moment, and recorded for many streams at once.
// A process that dies loses at most that moment: the streams are due again at
// once, which they would have been soon.

const (
	// flushEvery is how often successes that were kept back are recorded.
	flushEvery = 5 * time.Second
	// quietLeast is the least distance to the next run with which a success is
	// kept back: a stream that runs more often would seem late.
	quietLeast = 2 * flushEvery
	// flushAtOnce is how many connections are recorded at the same time. The
	// store commits together what waits together.
	flushAtOnce = 128
)

// keepBack keeps a success until the next flush.
func (s *Scheduler) keepBack(e *stream, w store.StreamWrite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Runs = 1
	if e.unsaved != nil {
		w.Runs += e.unsaved.Runs
	} else {
		s.unsaved[e.conn] = append(s.unsaved[e.conn], e)
	}
	e.unsaved = &w
}

// withUnsaved puts what was kept back of e before a newer write of its status.
func (s *Scheduler) withUnsaved(e *stream, w store.StreamWrite) []store.StreamWrite {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.unsaved == nil {
		return []store.StreamWrite{w}
	}
	older := *e.unsaved
	e.unsaved = nil
	return []store.StreamWrite{older, w}
}

// flushLoop records what was kept back until the scheduler has stopped.
func (s *Scheduler) flushLoop() {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.flush(s.ctx, nil)
		}
	}
}

// flushLast records what was kept back before the end, if the store answers soon.
func (s *Scheduler) flushLast(only *connection) {
	ctx, cancel := context.WithTimeout(s.ctx, farewell)
	defer cancel()
	s.flush(ctx, only)
}

// flush records what was kept back, of one connection or of all for nil: one
// unit a connection.
func (s *Scheduler) flush(ctx context.Context, only *connection) {
	s.mu.Lock()
	var units []store.Unit
	var from []*connection
	for c, streams := range s.unsaved {
		if only != nil && c != only || only == nil && c.closing {
			continue // what ends records its own
		}
		delete(s.unsaved, c)
		var u store.Unit
		for _, e := range streams {
			if e.unsaved == nil {
				continue // recorded with something newer
			}
			if u.ID == "" {
				u = s.unit(e)
			}
			u.Streams = append(u.Streams, *e.unsaved)
			e.unsaved = nil
		}
		if u.ID != "" {
			units, from = append(units, u), append(from, c)
			c.active.Add(1)
		}
	}
	s.mu.Unlock()
	var group sync.WaitGroup
	room := make(chan struct{}, flushAtOnce)
	for i, u := range units {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			defer from[i].active.Done()
			if _, err := s.commit(ctx, u); err != nil && s.ctx.Err() == nil {
				s.log.Warn("successes of runs without news could not be recorded", "connection", u.ConnectionID, "err", err)
			}
		})
	}
	group.Wait()
}
