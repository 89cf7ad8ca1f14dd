package scheduler

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// berlin is the zone of the tests of daylight saving. A synctest begins on
// 1 January 2000; clocks went forward on 26 March at 2:00 and back on 29 October
// at 3:00.
func berlin(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	return zone
}

// until lets time go by to a moment in the bubble.
func until(year int, month time.Month, day, hour int, zone *time.Location) {
	pass(time.Until(time.Date(year, month, day, hour, 0, 0, 0, zone)))
}

func TestDaysOfDaylightSaving(t *testing.T) {
	t.Parallel()
	zone := berlin(t)
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"an hour that is there every day": {"TZ=Europe/Berlin 30 6 * * *", []string{
			"03-25 06:30 +0100", "03-26 06:30 +0200", "03-27 06:30 +0200", "10-28 06:30 +0200", "10-29 06:30 +0100", "10-30 06:30 +0100",
		}},
		"an hour that is skipped, and repeated": {"TZ=Europe/Berlin 30 2 * * *", []string{
			"03-25 02:30 +0100", "03-27 02:30 +0200", "10-28 02:30 +0200", "10-29 02:30 +0200", "10-29 02:30 +0100", "10-30 02:30 +0100",
		}},
		"another zone": {"TZ=UTC 30 1 * * *", []string{
			"03-25 02:30 +0100", "03-26 03:30 +0200", "03-27 03:30 +0200", "10-28 03:30 +0200", "10-29 02:30 +0100", "10-30 02:30 +0100",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{NoSpread: true})
				var calls moments
				in := r.stream(c.spec, starts(&calls, idle))
				until(2000, time.March, 25, 0, zone)
				in.Status = store.StreamStatus{LastSuccessAt: time.Now().Add(-time.Hour), NextRunAt: in.Schedule.Next(time.Now())}
				r.add(in)
				r.start()
				until(2000, time.March, 28, 0, zone)
				spring := len(calls.all())
				until(2000, time.October, 28, 0, zone)
				autumn := len(calls.all())
				until(2000, time.October, 31, 0, zone)
				var ran []string
				for _, at := range append(calls.all()[:spring], calls.all()[autumn:]...) {
					ran = append(ran, at.In(zone).Format("01-02 15:04 -0700"))
				}
				require.Equal(t, c.want, ran)
			})
		})
	}
}

func TestHoursOfDaylightSavingAreOneAfterAnother(t *testing.T) {
	t.Parallel()
	zone := berlin(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{})
		var hourly, every moments
		until(2000, time.March, 25, 0, zone)
		r.add(r.streamOf("con_1", "s", "TZ=Europe/Berlin 0 * * * *", starts(&hourly, idle)))
		r.add(r.streamOf("con_2", "s", "@every 1h", starts(&every, idle)))
		r.start()
		until(2000, time.March, 27, 12, zone)
		require.Len(t, every.all(), 59, "59 hours went by, and the last run is due a moment later")
		for name, times := range map[string][]time.Time{"hourly": hourly.all(), "every": every.all()} {
			for i := 2; i < len(times); i++ { // the first comes at once
				require.Equal(t, time.Hour, times[i].Sub(times[i-1]), "%s, %s", name, times[i].In(zone))
			}
		}
	})
}

func TestTheClockIsSteppedByAnHour(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newMemory(), Config{})
				stepped := steppable(r.s)
				var calls moments
				r.add(r.stream("*/15 * * * *", starts(&calls, idle)))
				r.start()
				pass(3*time.Hour + 5*time.Minute)
				before := len(calls.all())
				stepped.Store(int64(step))
				pass(3 * time.Hour)
				times := calls.all()
				spread := at(t, "*/15 * * * *").Spread("con_1.s", time.Now())
				for i := 2; i < len(times); i++ {
					gap := times[i].Sub(times[i-1])
					require.LessOrEqual(t, gap, 15*time.Minute, "run %d", i)
					if i != before && i != before+1 { // the runs next to the step
						require.Equal(t, 15*time.Minute, gap, "run %d", i)
					}
				}
				require.InDelta(t, 12, len(times)-before, 1, "the hour is neither waited for nor made up for")
				tick := times[len(times)-1].Add(step).Add(-spread)
				require.Zero(t, tick.Minute()%15, "it runs by the clock as it is now, and not as it was: %s", tick)
				require.Zero(t, tick.Second())
			})
		})
	}
}

func TestARetryIsWaitedForWhenTheClockIsSteppedDuringARestart(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				first := newRig(t, m, Config{})
				var calls moments
				down := starts(&calls, failing(framework.RetryAfter(errors.New("slow down"), 30*time.Minute)))
				first.add(first.stream("@every 24h", down))
				first.start()
				pass(10 * time.Minute)
				first.stop()

				m.reopen()
				second := newRig(t, m, Config{})
				steppable(second.s).Store(int64(step))
				second.add(second.stream("@every 24h", down))
				second.start()
				pass(time.Minute)
				if step > 0 {
					// What was asked for is over by the only clock there is. The run is
					// still spread.
					pass(time.Minute)
					require.Len(t, calls.all(), 2)
					return
				}
				require.Len(t, calls.all(), 1)
				pass(31*time.Minute + retryAfterJitter)
				require.Len(t, calls.all(), 2, "the wait is no longer than it was")
			})
		})
	}
}

func TestABackfillsWaitIsNoLongerWhenTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &archive{failure: framework.RetryAfter(errors.New("later"), 30*time.Minute)}
		r := newRig(t, newMemory(), Config{})
		r.add(r.stream("@every 1000h", a.page))
		r.start()
		r.backfill(1, 2, BackfillSpec{})
		pass(time.Minute)
		r.stop()
		r.store.reopen()
		n := newRig(t, r.store, Config{})
		steppable(n.s).Store(int64(-48 * time.Hour))
		s := n.stream("@every 1000h", a.page)
		s.States = got(r.store.States(t.Context(), "con_1", ""))
		n.add(s)
		n.start()
		a.fail(nil)
		pass(framework.MaxRetryAfter + time.Minute)
		require.Equal(t, BackfillDone, n.backfills()[0].State)
	})
}

func TestRefusedCredentialsAreNotTriedAgainBeforeTheNextTickAndSayWhatToDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), Config{NoSpread: true})
		var calls moments
		r.add(r.stream("0 * * * *", starts(&calls, failing(framework.Auth(errors.New("401 Unauthorized"))))))
		r.start()
		pass(59 * time.Minute)
		require.Len(t, calls.all(), 1)
		status := r.store.status("con_1", "s")
		require.Equal(t, "401 Unauthorized"+renew, status.LastError)
		require.Equal(t, status.LastError, r.store.history()[0].Error)
		require.Contains(t, status.LastError, "replace them in the settings")
		pass(time.Minute)
		require.Len(t, calls.all(), 2, "without a spread it runs at its very tick")
		require.Zero(t, calls.all()[1].Minute())
		require.Zero(t, calls.all()[1].Second())
	})
}
