package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/health"
	"github.com/weirhq/weir/framework/store"
)

type letterBody struct {
	letterLine
	Project, Connection, SinkPath string
	First                         *moment
	Event, Request, Response      string
	Cut                           bool
	// Payload is the event's data where it may be edited here, and can be.
	Payload string
}

// letter shows one dead letter.
func (d *Dashboard) letter(w http.ResponseWriter, r *http.Request) {
	c, err := d.sinkOf(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	one, err := d.cfg.Sinks.DeadEvent(r.Context(), c.ID, chi.URLParam(r, "letter"))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	names, err := d.connectionNames(r.Context())
	if err != nil {
		d.fail(w, r, err)
		return
	}
	path := sinkPath(c.Project, c.Name)
	body := letterBody{
		letterLine: d.letterLine(path, one, func(s store.Source) string { return names[s.ConnectionID] + "." + s.Stream }),
		Project:    c.Project, Connection: c.Name, SinkPath: path, First: d.moment(health.TimeOrNil(one.FirstAt)),
		Request: visible(string(one.Request)), Response: visible(string(one.Response)),
	}
	if e, err := delivery.DecodeEvent(one.Event); err == nil {
		if encoded, err := e.MarshalJSON(); err == nil {
			body.Event, body.Cut = pretty(encoded, shownPayload)
		}
		var indented bytes.Buffer
		if len(e.Payload) <= shownPayload/2 && json.Indent(&indented, e.Payload, "", "  ") == nil && indented.Len() <= shownPayload {
			body.Payload = indented.String()
		}
	}
	d.render(w, r, http.StatusOK, "letter.html", page{Title: "Dead letter of " + c.Name, SignedIn: d.cfg.Sessions.NeedsSignIn(), Body: body})
}

// redeliverLetter sends a dead letter again, with the payload in the form if there
// is one, and shows the sink.
func (d *Dashboard) redeliverLetter(w http.ResponseWriter, r *http.Request) {
	change := api.SinkChange{Action: api.SinkRedeliver, IDs: []string{chi.URLParam(r, "letter")}}
	if edited := r.PostFormValue("payload"); edited != "" {
		// What a form has made of the lines is taken back.
		var payload bytes.Buffer
		if err := json.Compact(&payload, []byte(edited)); err != nil {
			unprocessable(w, r, "the edited data is no JSON: "+err.Error())
			return
		}
		change.Payload = payload.Bytes()
	}
	d.changeSink(w, r, change)
}

// redeliverLetters sends all dead letters of a sink again, so many a second as the
// form says, and shows the sink.
func (d *Dashboard) redeliverLetters(w http.ResponseWriter, r *http.Request) {
	rate, err := strconv.ParseFloat(r.PostFormValue("rate"), 64)
	if err != nil || !(rate >= 0.001 && rate <= maxRate) {
		unprocessable(w, r, fmt.Sprintf("say how many dead letters a second are sent again: 0.001 to %d", maxRate))
		return
	}
	d.changeSink(w, r, api.SinkChange{
		Action: api.SinkRedeliverAll, Redelivery: store.NewID(delivery.RedeliveryPrefix, time.Now()), Letters: &store.DeadEvents{},
		Every: time.Duration(float64(time.Second) / rate),
	})
}

// cancelRedelivery ends a redelivery of many and shows the sink.
func (d *Dashboard) cancelRedelivery(w http.ResponseWriter, r *http.Request) {
	d.changeSink(w, r, api.SinkChange{Action: api.SinkCancel, Redelivery: chi.URLParam(r, "redelivery")})
}

// discardLetter settles a dead letter with a reason and shows the sink.
func (d *Dashboard) discardLetter(w http.ResponseWriter, r *http.Request) {
	if reason, ok := noteOf(w, r); ok {
		d.changeSink(w, r, api.SinkChange{Action: api.SinkDiscard, IDs: []string{chi.URLParam(r, "letter")}, Reason: reason})
	}
}

// discardLetters settles all dead letters of a sink with a reason and shows it.
func (d *Dashboard) discardLetters(w http.ResponseWriter, r *http.Request) {
	reason, ok := noteOf(w, r)
	if !ok {
		return
	}
	d.onSink(w, r, func(ctx context.Context, c store.Connection) error {
		_, err := api.DiscardAll(ctx, d.cfg.Sinks, store.DeadEvents{ConnectionID: c.ID}, reason)
		return err
	})
}

// noteOf reads why dead letters are discarded, or answers that it must be said.
func noteOf(w http.ResponseWriter, r *http.Request) (reason string, ok bool) {
	reason = r.PostFormValue("reason")
	if n := len(reason); n == 0 || n > maxNote {
		ErrorPage(w, r, http.StatusBadRequest, "No reason", fmt.Sprintf("say in 1 to %d bytes why it is discarded", maxNote))
		return "", false
	}
	return reason, true
}

// maxNote bounds the reason for discarding a dead letter.
const maxNote = 500
