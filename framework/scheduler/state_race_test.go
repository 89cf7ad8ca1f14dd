package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// The race detector is what fails here.
func TestAStateMayBeAskedForWhileARunEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := newRig(t, m, Config{})
		m.failWith(nil, func(store.Unit) error {
			go r.s.State("con_1", "s")
			time.Sleep(time.Millisecond)
			return nil
		})
		fail := false
		r.add(r.stream("@every 1m", func(context.Context, request, *ingest.Buffer) (result, error) {
			if fail = !fail; fail {
				return result{}, errors.New("not now")
			}
			return result{}, nil
		}))
		r.start()
		pass(10 * time.Minute)
		r.stop()
	})
}
