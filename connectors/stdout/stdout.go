package stdout

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

//go:generate go tool catalogcheck -write .

// Connector declares nothing but itself: it has no streams of its own.
var Connector = catalog.Connector{Key: "stdout"}

// Plugin is the sink.
var Plugin = framework.DefineSink(Connector, open)

// Settings configure a connection.
type Settings struct {
	Format string `json:"format" default:"cloudevents" enum:"cloudevents,json" doc:"cloudevents: one CloudEvent a line, with id, stream, sequence and operation; json: the data alone, null for a deletion."`
}

// output is standard output, where the lines of several sinks stay whole.
var output = sync.OnceValue(func() *printer { return &printer{to: os.Stdout} })

func open(_ context.Context, in framework.Instance[Settings]) (sink.Spec, error) {
	return sink.Spec{
		Sender: &sender{in.Settings.Format, output()}, Policy: sink.Standard{}, Batch: sink.Batch{MaxEvents: 100, Wait: 20 * time.Millisecond},
	}, nil
}

type printer struct {
	mu sync.Mutex
	to io.Writer
}

// sender prints events. It implements [sink.Sender].
type sender struct {
	format string
	out    *printer
}

// Prepare writes an event as one line.
func (s *sender) Prepare(_ context.Context, e *ingest.Event) (*sink.Message, error) {
	line, err := sink.Line(e, s.format)
	if err != nil {
		return nil, err
	}
	return &sink.Message{Event: e, Body: line}, nil
}

// Send prints a batch. A reader that has gone away is a failure: nothing is lost.
func (s *sender) Send(_ context.Context, batch []*sink.Message) sink.Answer {
	var b bytes.Buffer
	for _, m := range batch {
		b.Write(m.Body)
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if _, err := s.out.to.Write(b.Bytes()); err != nil {
		return sink.Answer{Err: err}
	}
	return sink.Answer{Status: 200}
}
