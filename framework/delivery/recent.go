package delivery

import (
	"time"

	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
)

// Recent is one attempt, for people who look at a sink.
type Recent struct {
	At      time.Time
	Stream  string
	Events  int
	Status  int
	Took    time.Duration
	Verdict sink.Verdict
	Reason  string
	// Source is the stream with the id of its connection.
	Source store.Source
}

// recentKept is how many attempts are kept in memory.
const recentKept = 100

// ring keeps the last attempts.
type ring struct {
	list []Recent
	next int
}

func (r *ring) add(one Recent) {
	if len(r.list) < recentKept {
		r.list = append(r.list, one)
		return
	}
	r.list[r.next] = one
	r.next = (r.next + 1) % recentKept
}

// newest lists the attempts, newest first.
func (r *ring) newest() []Recent {
	out := make([]Recent, 0, len(r.list))
	for i := range r.list {
		out = append(out, r.list[(r.next+len(r.list)-1-i)%len(r.list)])
	}
	return out
}
