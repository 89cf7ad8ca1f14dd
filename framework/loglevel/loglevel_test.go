package loglevel_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/loglevel"
)

func TestLevelsChangeWhileALogIsWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	levels := loglevel.New(slog.LevelInfo)
	log := slog.New(levels.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	require.Same(t, levels, loglevel.Of(log))
	require.Nil(t, loglevel.Of(slog.New(slog.DiscardHandler)))
	shop := log.With("project", "default", "connection", "shop")
	written := func(do func()) bool {
		out.Reset()
		do()
		return out.Len() > 0
	}
	require.False(t, written(func() { log.Debug("x") }))
	require.True(t, written(func() { log.Info("x") }))

	require.True(t, levels.Set("default.shop", slog.LevelDebug))
	require.True(t, written(func() { shop.Debug("x") }))
	require.True(t, written(func() { shop.WithGroup("g").Debug("x", "connection", "other") }), "a group names no connection")
	require.True(t, written(func() { log.Debug("x", "project", "default", "connection", "shop") }), "a record may name its connection itself")
	require.False(t, written(func() { log.Debug("x", "project", "other", "connection", "shop") }))
	require.False(t, written(func() { log.Debug("x") }))

	require.True(t, levels.Set("default.shop", slog.LevelError))
	require.False(t, written(func() { shop.Warn("x") }))
	require.True(t, levels.Set(loglevel.Root, slog.LevelDebug))
	require.True(t, written(func() { log.Debug("x") }))
	require.False(t, written(func() { shop.Warn("x") }), "its own level stays")
	require.False(t, levels.Levels()["default.shop"].Modified.IsZero())

	for i := range 2000 {
		levels.Set(fmt.Sprintf("default.c%d", i), slog.LevelInfo)
	}
	require.Len(t, levels.Levels(), 1000, "who sets levels cannot fill the memory")
	require.True(t, levels.Set(loglevel.Root, slog.LevelInfo), "those that are there can still be changed")
}
