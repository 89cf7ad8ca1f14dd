package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
)

// What an operator asks of a stream whose connection another node works on is
// handed over through the store, and answered the same way: nodes need not reach
// each other.

const (
	// commandEvery is how often a node looks for what was asked at another one.
	commandEvery = 250 * time.Millisecond
	// commandTimeout bounds what a command may take. A page may take a minute.
	commandTimeout = 2 * time.Minute
	// peerPatience is how long a page waits for what the other nodes know.
	peerPatience = 2 * time.Second
)

// kinds of commands.
const (
	kindPage           = "page"
	kindRun            = "run"
	kindPause          = "pause"
	kindResume         = "resume"
	kindReset          = "reset"
	kindBackfills      = "backfills"
	kindBackfill       = "backfill"
	kindCancelBackfill = "cancel backfill"
	kindResumeBackfill = "resume backfill"
	kindSinkState      = "sink state"
	kindSink           = "sink"
	kindReport         = "webhook report"
	kindResumeEndpoint = "resume webhook"
	kindRestart        = "restart"
	kindNewer          = "newer connector"
)

// command is a request as it is stored.
type command struct {
	Kind       string                 `json:"kind"`
	Connection string                 `json:"connection"`
	Stream     string                 `json:"stream,omitempty"`
	Endpoint   string                 `json:"endpoint,omitempty"`
	ID         string                 `json:"id,omitempty"`
	Page       api.PageCall           `json:"page,omitzero"`
	Reset      scheduler.ResetTo      `json:"reset,omitzero"`
	Backfill   scheduler.BackfillSpec `json:"backfill,omitzero"`
	Sink       *api.SinkChange        `json:"sink,omitempty"`
	Needs      []question             `json:"needs,omitempty"`
}

// reply is the answer to it.
type reply struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	// Kind says which error it is, where that matters to who asks.
	Kind     string `json:"kind,omitempty"`
	Conflict bool   `json:"conflict,omitempty"`
	Busy     bool   `json:"busy,omitempty"`
}

// nothing is the result of a command that has none.
type nothing struct{}

// elsewhere returns the store when another node works on the connection.
func (r *Runtime) elsewhere(connectionID string) store.Shared {
	shared, ok := r.store.(store.Shared)
	if !ok || shared.Peers() == 0 {
		return nil
	}
	if _, mine := r.store.Epoch(connectionID); mine {
		return nil
	}
	return shared
}

// ask has c carried out where its connection is, here or at another node.
func ask[T any](ctx context.Context, r *Runtime, c command) (result T, err error) {
	other := r.elsewhere(c.Connection)
	if other == nil {
		value, err := local{r}.do(ctx, c)
		result, _ = value.(T)
		return result, err
	}
	request, err := json.Marshal(c)
	if err != nil {
		return result, fmt.Errorf("hand a request over: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	raw, err := other.Ask(ctx, c.Connection, request)
	if err != nil {
		return result, err
	}
	return answered[T](raw)
}

// askPeers has c carried out at every other node, and returns the results that
// came in time and how many nodes there are.
func askPeers[T any](ctx context.Context, r *Runtime, c command) (results []T, peers int, err error) {
	shared, ok := r.store.(store.Shared)
	if !ok || shared.Peers() == 0 {
		return nil, 0, nil
	}
	request, err := json.Marshal(c)
	if err != nil {
		return nil, 0, fmt.Errorf("hand a request over: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, peerPatience)
	defer cancel()
	answers, peers, err := shared.AskPeers(ctx, request)
	if err != nil {
		return nil, peers, err
	}
	for _, raw := range answers {
		result, err := answered[T](raw)
		if err != nil {
			// A node that is just starting or stopping knows less.
			r.log.Debug("another node could not answer", "what", c.Kind, "err", err)
			continue
		}
		results = append(results, result)
	}
	return results, peers, nil
}

// answered reads the answer of another node.
func answered[T any](raw []byte) (result T, err error) {
	var answer reply
	if err := json.Unmarshal(raw, &answer); err != nil {
		return result, fmt.Errorf("read the answer of another node: %w", err)
	}
	switch {
	case answer.Conflict:
		return result, &api.ConflictError{Err: errors.New(answer.Error), Busy: answer.Busy}
	case answer.Error != "":
		return result, answer.handed()
	case len(answer.Result) == 0:
		return result, nil
	}
	return result, json.Unmarshal(answer.Result, &result)
}

// serveCommands carries out what was asked at other nodes, until ctx ends.
func (r *Runtime) serveCommands(ctx context.Context) {
	shared, ok := r.store.(store.Shared)
	if !ok {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(commandEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if shared.Peers() == 0 {
			continue
		}
		commands, err := shared.Commands(ctx)
		if err != nil {
			r.log.Debug("look for what was asked at other nodes", "err", err)
			continue
		}
		for _, c := range commands {
			running.Go(func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
				defer cancel()
				answer, err := json.Marshal(r.carryOut(ctx, c.Request))
				if err == nil {
					err = shared.Answer(ctx, c.ID, answer)
				}
				if err != nil {
					r.log.Warn("what was asked at another node could not be answered", "err", err)
				}
			})
		}
	}
}

func (r *Runtime) carryOut(ctx context.Context, request []byte) reply {
	var c command
	if err := json.Unmarshal(request, &c); err != nil {
		return replyOf(nil, err)
	}
	return replyOf((local{r}).do(ctx, c))
}

// replyOf is the answer that says what became of a command.
func replyOf(value any, err error) (answer reply) {
	if err == nil {
		answer.Result, err = json.Marshal(value)
	}
	if err != nil {
		answer.handOver(err)
		if conflicting, ok := errors.AsType[*api.ConflictError](err); ok {
			answer.Conflict, answer.Busy = true, conflicting.Busy
		}
	}
	return answer
}

// do carries c out by this process's scheduler.
func (o local) do(ctx context.Context, c command) (any, error) {
	switch c.Kind {
	case kindPage:
		return o.Page(ctx, c.Page)
	case kindRun:
		return nothing{}, o.RunNow(ctx, c.Connection, c.Stream)
	case kindPause, kindResume:
		return nothing{}, o.SetPaused(ctx, c.Connection, c.Stream, c.Kind == kindPause)
	case kindReset:
		return nothing{}, o.Reset(ctx, c.Connection, c.Stream, c.Reset)
	case kindBackfills:
		return o.Backfills(ctx, c.Connection)
	case kindBackfill:
		return o.Backfill(ctx, c.Connection, c.Stream, c.Backfill)
	case kindCancelBackfill:
		return o.CancelBackfill(ctx, c.Connection, c.ID)
	case kindResumeBackfill:
		return o.ResumeBackfill(ctx, c.Connection, c.ID)
	case kindSinkState:
		return o.sinkState(ctx, c.Connection)
	case kindReport:
		report, ok := o.runtime.intake.Report(c.Connection, c.Endpoint)
		if !ok {
			return nil, fmt.Errorf("this node has no endpoint %q of the connection", c.Endpoint)
		}
		return report, nil
	case kindResumeEndpoint:
		return o.runtime.intake.Resume(c.Connection, c.Endpoint)
	case kindRestart:
		return nothing{}, o.restart(ctx, c.Connection)
	case kindNewer:
		return o.runtime.newer(c.Needs), nil
	case kindSink:
		return o.changeSink(ctx, c.Connection, c.Sink)
	}
	return nil, fmt.Errorf("the node that has this connection runs a version that does not know %q", c.Kind)
}
