package health_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/catalog/schedule"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

func parse(t testing.TB, spec string) schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(spec)
	require.NoError(t, err)
	return s
}

func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", clock)
	if err != nil {
		panic(err)
	}
	return t
}

func TestStateOfAStream(t *testing.T) {
	t.Parallel()
	quarter := parse(t, "*/15 * * * *")
	office := parse(t, "0 9-17 * * 1-5")
	now := at("2026-03-02 12:20:00") // a Monday
	fresh := store.StreamStatus{LastSuccessAt: at("2026-03-02 12:15:05")}
	stale := store.StreamStatus{LastSuccessAt: at("2026-03-02 11:45:05")}
	failed := store.StreamStatus{LastSuccessAt: at("2026-03-02 11:45:05"), ConsecutiveFailures: 1, LastError: "boom"}
	paused := failed
	paused.Paused = true

	for name, c := range map[string]struct {
		facts health.Facts
		want  health.State
	}{
		"nothing happened yet":                 {health.Facts{Enabled: true}, health.NeverRun},
		"first run goes on":                    {health.Facts{Enabled: true, Running: true}, health.Running},
		"first run goes on for hours":          {health.Facts{Enabled: true, Running: true, Status: store.StreamStatus{NextRunAt: at("2026-03-02 01:00:00")}}, health.Running},
		"first run is not due yet":             {health.Facts{Enabled: true, Status: store.StreamStatus{NextRunAt: at("2026-03-02 12:30:00")}}, health.NeverRun},
		"first run never came":                 {health.Facts{Enabled: true, Status: store.StreamStatus{NextRunAt: at("2026-03-02 12:00:00")}}, health.Late},
		"succeeded on time":                    {health.Facts{Enabled: true, Status: fresh}, health.Healthy},
		"read again after a success":           {health.Facts{Enabled: true, Status: fresh, Running: true}, health.Running},
		"overdue by more than an interval":     {health.Facts{Enabled: true, Status: stale}, health.Late},
		"hangs since the last success":         {health.Facts{Enabled: true, Status: stale, Running: true}, health.Late},
		"failed":                               {health.Facts{Enabled: true, Status: failed}, health.Failing},
		"failed and is being tried again":      {health.Facts{Enabled: true, Status: failed, Running: true}, health.Failing},
		"failed before any success":            {health.Facts{Enabled: true, Status: store.StreamStatus{ConsecutiveFailures: 3}}, health.Failing},
		"paused after a failure":               {health.Facts{Enabled: true, Status: paused}, health.Paused},
		"paused while a run ends":              {health.Facts{Enabled: true, Status: paused, Running: true}, health.Paused},
		"connection is off":                    {health.Facts{Status: failed}, health.Disabled},
		"connection is off and paused":         {health.Facts{Status: paused, Running: true}, health.Disabled},
		"nothing since Friday, on Monday":      {health.Facts{Enabled: true, Schedule: office, Now: at("2026-03-02 09:30:00"), Status: store.StreamStatus{LastSuccessAt: at("2026-02-27 17:00:02")}}, health.Healthy},
		"nothing since Friday, by ten":         {health.Facts{Enabled: true, Schedule: office, Now: at("2026-03-02 10:00:01"), Status: store.StreamStatus{LastSuccessAt: at("2026-02-27 17:00:02")}}, health.Late},
		"webhook silent for a year":            {health.Facts{Enabled: true, Mode: catalog.ModeWebhook, Status: store.StreamStatus{LastSuccessAt: at("2025-03-02 10:00:00")}}, health.Healthy},
		"webhook that a schedule slipped into": {health.Facts{Enabled: true, Mode: catalog.ModeWebhook, Schedule: quarter, Status: store.StreamStatus{LastSuccessAt: at("2025-03-02 10:00:00")}}, health.Healthy},
		"webhook that never got a delivery":    {health.Facts{Enabled: true, Mode: catalog.ModeWebhook}, health.NeverRun},
		"webhook whose handler fails":          {health.Facts{Enabled: true, Mode: catalog.ModeWebhook, Status: failed}, health.Failing},
	} {
		f := c.facts
		if f.Mode == "" {
			f.Mode = catalog.ModePoll
		}
		if f.Mode == catalog.ModePoll && f.Schedule.IsZero() {
			f.Schedule = quarter
		}
		if f.Now.IsZero() {
			f.Now = now
		}
		require.Equal(t, c.want, health.Of(f), name)
	}
}

func TestLateBeginsRightAfterOneMissedInterval(t *testing.T) {
	t.Parallel()
	f := health.Facts{
		Mode: catalog.ModePoll, Schedule: parse(t, "*/15 * * * *"), Enabled: true,
		Status: store.StreamStatus{LastSuccessAt: at("2026-03-02 12:00:03")},
	}
	f.Now = at("2026-03-02 12:30:00")
	require.Equal(t, health.Healthy, health.Of(f), "due 12:15, overdue by exactly one interval")
	f.Now = f.Now.Add(time.Microsecond)
	require.Equal(t, health.Late, health.Of(f))
}

func facts(t *rapid.T) health.Facts {
	now := at("2026-03-02 12:20:00")
	moment := func(name string) time.Time {
		seconds := rapid.IntRange(-1, 200_000).Draw(t, name)
		if seconds < 0 {
			return time.Time{}
		}
		return now.Add(-time.Duration(seconds) * time.Second)
	}
	f := health.Facts{
		Mode:    rapid.SampledFrom([]catalog.Mode{catalog.ModePoll, catalog.ModeWebhook}).Draw(t, "mode"),
		Running: rapid.Bool().Draw(t, "running"), Enabled: rapid.Bool().Draw(t, "enabled"), Now: now,
		Status: store.StreamStatus{
			LastSuccessAt: moment("last success"), NextRunAt: moment("next run"),
			ConsecutiveFailures: rapid.IntRange(0, 3).Draw(t, "failures"), Paused: rapid.Bool().Draw(t, "paused"),
		},
	}
	if f.Mode == catalog.ModePoll {
		s, err := schedule.Parse(rapid.SampledFrom([]string{"* * * * *", "*/15 * * * *", "@every 5m", "@daily", "0 9 * * 1"}).Draw(t, "schedule"))
		require.NoError(t, err)
		f.Schedule = s
	}
	return f
}

func TestEveryMixOfFactsKeepsThePromisesOfItsState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := facts(t)
		s := health.Of(f)
		require.Contains(t, health.States(), s)
		require.Equal(t, !f.Enabled, s == health.Disabled)
		require.Equal(t, f.Enabled && f.Status.Paused, s == health.Paused)
		on := f.Enabled && !f.Status.Paused
		require.Equal(t, on && f.Status.ConsecutiveFailures > 0, s == health.Failing, "a failure is never hidden")
		if s == health.Late {
			require.Equal(t, catalog.ModePoll, f.Mode)
		}
		if s == health.NeverRun {
			require.True(t, f.Status.LastSuccessAt.IsZero())
		}
		if s == health.Healthy {
			require.False(t, f.Status.LastSuccessAt.IsZero())
			require.False(t, f.Running)
		}
	})
}

func TestAStreamThatIsLateStaysLateUntilSomethingHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := facts(t)
		if health.Of(f) != health.Late {
			return
		}
		f.Now = f.Now.Add(time.Duration(rapid.IntRange(0, 1_000_000).Draw(t, "later")) * time.Second)
		require.Equal(t, health.Late, health.Of(f))
		f.Status.LastSuccessAt = f.Now
		f.Running = false
		require.Equal(t, health.Healthy, health.Of(f))
	})
}

func TestLabelsAreWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "never run", health.NeverRun.Label())
	for _, s := range health.States() {
		require.Regexp(t, `^[a-z]+( [a-z]+)*$`, s.Label())
		require.Regexp(t, `^[a-z]+(_[a-z]+)*$`, string(s))
	}
}
