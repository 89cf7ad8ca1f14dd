package modeltest

import (
	"time"

	"pgregory.net/rapid"

	"github.com/weirhq/weir/framework/scheduler"
)

// faults are drawn from these; the ones that wait cost real time and are rare.
var (
	quickFaults  = []fault{faultRefused, faultAnswerLost, faultDiesBefore, faultDiesAfter}
	slowFaults   = []fault{faultUnavailable, faultUncertain}
	letterFaults = append(append([]fault{}, quickFaults...), slowFaults...)
)

// drawFault draws what becomes of a commit: nothing, most of the time.
func drawFault(t *rapid.T, delivery bool) fault {
	if rapid.IntRange(0, 4).Draw(t, "fault") != 4 {
		return faultNone
	}
	if delivery {
		return rapid.SampledFrom(letterFaults).Draw(t, "what")
	}
	if rapid.IntRange(0, 9).Draw(t, "slow") == 9 {
		return rapid.SampledFrom(slowFaults).Draw(t, "what")
	}
	return rapid.SampledFrom(quickFaults).Draw(t, "what")
}

// meanwhile draws what happens while pages are on their way.
func (w *world) meanwhile(t *rapid.T, step func(*rapid.T) func(), pages int) {
	w.during = nil
	for range rapid.IntRange(0, pages).Draw(t, "things that happen meanwhile") {
		happens := func() {}
		switch rapid.IntRange(0, 2).Draw(t, "meanwhile") {
		case 1:
			happens = step(t)
		case 2:
			index, twice := rapid.IntRange(0, 50).Draw(t, "letter"), rapid.Bool().Draw(t, "twice")
			change := step(t)
			happens = func() {
				change()
				w.mail.deliver(index, twice)
			}
		}
		w.during = append(w.during, happens)
	}
}

// actions is what can happen in a story. step draws a change at the provider,
// to be made later.
func (w *world) actions(step func(*rapid.T) func()) map[string]func(*rapid.T) {
	change := func(t *rapid.T) {
		step(t)()
		w.check()
	}
	arrive := func(t *rapid.T) {
		if len(w.mail.waiting) == 0 {
			t.Skip("no mail")
		}
		index := rapid.IntRange(0, len(w.mail.waiting)-1).Draw(t, "letter")
		twice := rapid.IntRange(0, 3).Draw(t, "twice") == 3
		w.store.arm(drawFault(t, true), true, 0)
		w.mail.deliver(index, twice)
		w.settle()
	}
	page := func(t *rapid.T) {
		stream := rapid.SampledFrom(w.polled).Draw(t, "stream")
		w.meanwhile(t, step, 1)
		w.page(stream, scheduler.PageOptions{}, drawFault(t, false))
	}
	all := map[string]func(*rapid.T){
		"change":       change,
		"change again": change,
		"mail":         arrive,
		"more mail":    arrive,
		"page":         page,
		"another page": page,
		"run": func(t *rapid.T) {
			stream := rapid.SampledFrom(w.polled).Draw(t, "stream")
			w.meanwhile(t, step, 4)
			w.run(stream, drawFault(t, false), rapid.IntRange(0, 2).Draw(t, "after pages"))
		},
		"page read again": func(t *rapid.T) {
			stream := rapid.SampledFrom(w.polled).Draw(t, "stream")
			w.meanwhile(t, step, 1)
			w.reread(stream, drawFault(t, false))
		},
		"handler": func(t *rapid.T) { w.failing = rapid.Bool().Draw(t, "fails") },
		"retry": func(t *rapid.T) {
			if w.stored(false) == 0 {
				t.Skip("nothing stored")
			}
			w.retry(drawFault(t, true))
		},
		"read":    func(t *rapid.T) { w.read(rapid.IntRange(1, 20).Draw(t, "events")) },
		"restart": func(*rapid.T) { w.restart() },
		"recreate": func(t *rapid.T) {
			if rapid.IntRange(0, 2).Draw(t, "really") != 2 {
				t.Skip("not now")
			}
			w.recreate()
		},
		"reset": func(t *rapid.T) {
			w.reset(rapid.SampledFrom(w.polled).Draw(t, "stream"), drawFault(t, false))
		},
		"backup": func(*rapid.T) { w.save() },
		"restore": func(t *rapid.T) {
			if w.backup == nil {
				t.Skip("no backup")
			}
			w.restore()
		},
	}
	if len(w.ranged) > 0 {
		all["backfill"] = func(t *rapid.T) {
			stream := rapid.SampledFrom(w.ranged).Draw(t, "stream")
			now := w.clock.Now()
			spec := scheduler.BackfillSpec{
				From:   now.Add(-time.Duration(rapid.IntRange(30, 300).Draw(t, "minutes ago")) * time.Minute),
				To:     now.Add(time.Duration(rapid.IntRange(-20, 1).Draw(t, "to")) * time.Minute),
				Window: time.Duration(rapid.SampledFrom([]int{20, 60, 600}).Draw(t, "window")) * time.Minute,
			}
			w.meanwhile(t, step, 4)
			for i, happens := range w.during {
				if rapid.Bool().Draw(t, "a live page") {
					w.during[i] = func() {
						happens()
						w.live(stream)
					}
				}
			}
			w.backfill(stream, spec, drawFault(t, false), rapid.IntRange(0, 3).Draw(t, "after pages"))
		}
		all["backfills go on"] = func(*rapid.T) { w.resumeBackfills() }
	}
	return all
}
