// Package loglevel lets the levels of a log be changed while it is written: that
// of the process, and those of single connections.
package loglevel

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Root names the level that holds where no other does.
const Root = "root"

// maxLevels bounds how many loggers may have a level of their own.
const maxLevels = 1000

// Level is the level of one logger.
type Level struct {
	Level slog.Level
	// Modified is when it was set; zero for never.
	Modified time.Time
}

// Levels are the levels of a log.
type Levels struct {
	mu sync.Mutex
	// table is replaced as a whole, so that a record costs one load.
	table atomic.Pointer[map[string]Level]
	now   func() time.Time
}

// New returns levels of which the root's is level.
func New(level slog.Level) *Levels {
	l := &Levels{now: time.Now}
	l.table.Store(&map[string]Level{Root: {Level: level}})
	return l
}

// Of returns the levels of a log, or nil of one whose levels are fixed.
func Of(log *slog.Logger) *Levels {
	if h, ok := log.Handler().(handler); ok {
		return h.levels
	}
	return nil
}

// Levels returns the loggers that have a level, the root with them.
func (l *Levels) Levels() map[string]Level { return maps.Clone(*l.table.Load()) }

// Set gives a logger a level: [Root], or a connection as "<project>.<connection>".
// It reports false when too many loggers have one already.
func (l *Levels) Set(logger string, level slog.Level) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	table := l.Levels()
	if _, known := table[logger]; !known && len(table) >= maxLevels {
		return false
	}
	table[logger] = Level{level, l.now()}
	l.table.Store(&table)
	return true
}

// Handler writes to next what has the level for it. next must take everything.
func (l *Levels) Handler(next slog.Handler) slog.Handler { return handler{next: next, levels: l} }

// Keys of a record that name its connection.
const (
	keyProject    = "project"
	keyConnection = "connection"
)

// handler knows which connection its records are about.
type handler struct {
	next                slog.Handler
	levels              *Levels
	project, connection string
	grouped             bool
}

// Enabled reports whether a record may be written. One that names its connection
// itself is looked at by Handle again.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	table := *h.levels.table.Load()
	if h.connection != "" || len(table) == 1 {
		return level >= h.level(h.project, h.connection) && h.next.Enabled(ctx, level)
	}
	for _, l := range table {
		if level >= l.Level {
			return h.next.Enabled(ctx, level)
		}
	}
	return false
}

func (h handler) level(project, connection string) slog.Level {
	table := *h.levels.table.Load()
	if connection != "" && len(table) > 1 {
		if l, ok := table[project+"."+connection]; ok {
			return l.Level
		}
	}
	return table[Root].Level
}

// Handle writes a record that its connection's level lets through.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	project, connection := h.project, h.connection
	if connection == "" && !h.grouped && len(*h.levels.table.Load()) > 1 {
		r.Attrs(func(a slog.Attr) bool {
			project, connection = names(a, project, connection)
			return true
		})
	}
	if r.Level < h.level(project, connection) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func names(a slog.Attr, project, connection string) (string, string) {
	switch {
	case a.Value.Kind() != slog.KindString:
	case a.Key == keyProject:
		project = a.Value.String()
	case a.Key == keyConnection:
		connection = a.Value.String()
	}
	return project, connection
}

// WithAttrs takes the names of the connection from attrs.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if !h.grouped {
		for _, a := range attrs {
			h.project, h.connection = names(a, h.project, h.connection)
		}
	}
	h.next = h.next.WithAttrs(attrs)
	return h
}

// WithGroup opens a group; what is in it names no connection.
func (h handler) WithGroup(name string) slog.Handler {
	h.next, h.grouped = h.next.WithGroup(name), h.grouped || name != ""
	return h
}
