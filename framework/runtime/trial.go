package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
	resource "github.com/weirhq/weir/framework/connection"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/ingest"
)

// testTimeout bounds each step of a test.
const testTimeout = 30 * time.Second

// Test makes one real round trip: a source reads a page of its first poll stream,
// of which nothing is recorded; a sink sends one event that says it is a test.
func (l liveDesk) Test(ctx context.Context, c config.Connection, connectionID string) resource.Verdict {
	var v resource.Verdict
	step := func(name string, f func(ctx context.Context) (string, error)) bool {
		ctx, cancel := context.WithTimeout(ctx, testTimeout)
		defer cancel()
		begun := time.Now()
		detail, err := f(ctx)
		if err != nil {
			detail = err.Error()
		}
		v.Steps = append(v.Steps, resource.Step{Name: name, OK: err == nil, Detail: detail, TookMS: time.Since(begun).Milliseconds()})
		return err == nil
	}
	c.Enabled = true
	var one, tried *connection
	v.OK = step("open", func(ctx context.Context) (_ string, err error) {
		if c.Settings == nil {
			if one = l.runtime.set.Load().byID[connectionID]; one == nil || one.binding == nil && one.outlet == nil {
				return "", errNotRunning
			}
			return "it runs already", nil
		}
		one, err = l.runtime.trial(ctx, c, connectionID)
		tried = one
		return "the settings are accepted", err
	})
	defer func() { l.runtime.letGo(tried) }()
	switch {
	case !v.OK:
	case one.outlet != nil:
		v.OK = step("send", func(ctx context.Context) (string, error) { return l.runtime.trySink(ctx, one) })
	default:
		for _, s := range one.manifest.Streams {
			if s.Mode == catalog.ModePoll {
				v.OK = step("read a page of "+s.Key, func(ctx context.Context) (string, error) { return tryPage(ctx, one, s.Key) })
				break
			}
		}
		if len(one.endpoints) > 0 {
			v.OK = step("verify", func(context.Context) (string, error) {
				return fmt.Sprintf("%d endpoints verify their deliveries", len(one.endpoints)), nil
			}) && v.OK
		}
	}
	last := v.Steps[len(v.Steps)-1]
	for _, s := range v.Steps {
		if !s.OK {
			last = s
		}
	}
	v.Summary = last.Name + ": " + last.Detail
	return v
}

// tryPage reads a page and records nothing of it.
func tryPage(ctx context.Context, c *connection, stream string) (string, error) {
	result, emissions, err := c.binding.Page(ctx, stream, framework.PageCall{})
	if err != nil {
		return "", err
	}
	more := ""
	if result.HasMore {
		more = ", and there is more"
	}
	return fmt.Sprintf("%d events%s; nothing was recorded", len(emissions), more), nil
}

// trySink sends one event that no stream has.
func (r *Runtime) trySink(ctx context.Context, c *connection) (string, error) {
	now := time.Now().UTC()
	event := ingest.Event{
		ID: store.NewID("evt_test_", now), Project: c.Project, Connection: c.Name, ConnectionID: c.ID, Stream: "test", Type: "weir.test",
		Subject: "test", Operation: ingest.Upsert, Key: "test", Time: now, RecordedAt: now, Sequence: 1, Payload: []byte(`{"test":true}`),
	}
	spec := c.outlet.spec.WithDefaults()
	ctx, cancel := context.WithTimeout(ctx, spec.Timeout)
	defer cancel()
	message, err := spec.Sender.Prepare(ctx, &event)
	if err != nil {
		return "", err
	}
	if message == nil {
		return "the filter passes the test event over, so nothing was sent", nil
	}
	answer := spec.Sender.Send(ctx, []*sink.Message{message})
	switch {
	case answer.Err != nil:
		return "", answer.Err
	case answer.Status >= 200 && answer.Status < 300:
		return fmt.Sprintf("the endpoint answered %d", answer.Status), nil
	default:
		return "", fmt.Errorf("the endpoint answered %d: %w", answer.Status, errRefused)
	}
}

var (
	errRefused    = errors.New("it does not take what is sent")
	errNotRunning = errors.New("its secrets stand in the operator's file alone, and it does not run with them; look at why it does not")
)
