package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/weirhq/weir/framework/store"
)

func TestRetentionTakesDaysDurationsCountsAndForever(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	r := &reader{file: "weir.yaml", resolve: &resolver{}}
	got := store.DefaultRetention()
	r.retention(&got)(node(t, "{events_age: 90d, events_count: 1000, keys_age: 365d, runs_age: forever, dead_letters_age: 36h}"))
	require.Empty(t, r.problems)
	require.Equal(t, store.Retention{
		EventAge: 90 * day, EventCount: 1000, KeyAge: 365 * day, HourlyAge: 400 * day, DeadLetterAge: 36 * time.Hour,
	}, got)
}

func TestRetentionNamesEveryFault(t *testing.T) {
	t.Parallel()
	r := &reader{file: "weir.yaml", resolve: &resolver{}}
	got := store.DefaultRetention()
	r.retention(&got)(node(t, "{events_age: 5m, events_count: 0, keys_age: 999999999d, runs_age: soon, hourly_age: [1], event_age: 1d}"))
	require.Len(t, r.problems, 6)
	require.Contains(t, r.problems.Error(), `events_age: "5m" is no age such as 90d, 36h or forever`)
	require.Equal(t, store.DefaultRetention(), got)
	r = &reader{file: "weir.yaml", resolve: &resolver{}}
	r.retention(&got)(node(t, "{keys_age: 500d}"))
	require.Contains(t, r.problems.Error(), "hourly counts must be kept at least an hour longer than keys")
}

func node(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(text), &document))
	return document.Content[0]
}
