package api

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
)

const (
	// answerBytes is where a list of events ends before its limit: events may be
	// large.
	answerBytes = 16 << 20
	// eventChunk is how many events are read from the store at once.
	eventChunk = 100
)

// listEvents answers with events as CloudEvents. The array is put together by
// hand: encoding/json would compact and escape what events hand it, and payloads
// leave as they came, byte for byte.
func (a *API) listEvents(r *http.Request) (reply, error) {
	q := newQuery(r)
	// Without after the answer begins with the first event that is kept.
	after, epoch, limit := q.number("after", -1, 0, math.MaxInt64), q.number("epoch", 0, 1, math.MaxInt64), q.limit()
	if err := q.err(); err != nil {
		return reply{}, err
	}
	t, err := a.recorded(r)
	if err != nil {
		return reply{}, err
	}
	current := a.cfg.Store.LogEpoch()
	if epoch != 0 && epoch != current {
		p := newProblem(http.StatusConflict, "log_epoch_changed", fmt.Sprintf("this store was restored from a backup: its log has epoch %d, you read epoch %d. "+
			"Sequences after the backup stand for other events now; read again from a sequence that you trust, with epoch=%d", current, epoch, current))
		p.Epoch = current
		return reply{}, p
	}
	body := append([]byte(nil), `{"epoch":`+strconv.FormatInt(current, 10)+`,"events":[`...)
	count, more := 0, false
	for !more {
		// One more than wanted tells whether there are more.
		ask := min(limit-count+1, eventChunk)
		events, err := a.cfg.Store.Events(r.Context(), t.Connection.ID, t.Stream.Key, after, ask)
		if err != nil {
			return reply{}, err
		}
		for _, e := range events {
			if count == limit || (count > 0 && len(body)+len(e.Payload) > answerBytes) {
				more = true
				break
			}
			encoded, err := e.MarshalJSON()
			if err != nil {
				return reply{}, err
			}
			if count > 0 {
				body = append(body, ',')
			}
			body = append(body, encoded...)
			after = e.Sequence
			count++
		}
		if len(events) == 0 {
			break
		}
	}
	body = append(body, `],"next":`...)
	if more {
		body = append(body, `"`+strconv.FormatInt(after, 10)+`"`...)
	} else {
		body = append(body, "null"...)
	}
	return reply{status: http.StatusOK, raw: append(body, "}\n"...)}, nil
}
