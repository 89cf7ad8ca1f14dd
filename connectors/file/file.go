package file

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

//go:generate go tool catalogcheck -write .

// Connector declares nothing but itself: it has no streams of its own.
var Connector = catalog.Connector{Key: "file"}

// Plugin is the sink.
var Plugin = framework.DefineSink(Connector, open)

// EnvDir names the folder that all files lie in, ./files unless it is set: whoever
// may configure connections may not write elsewhere.
const EnvDir = "WEIR_FILES_DIR"

// Settings configure a connection.
type Settings struct {
	Path   string `json:"path" required:"true" doc:"The file, such as orders.ndjson, below the folder that WEIR_FILES_DIR names (./files unless set). Folders are made."`
	Format string `json:"format" default:"cloudevents" enum:"cloudevents,json" doc:"cloudevents: one CloudEvent a line, with id, stream, sequence and operation; json: the data alone, null for a deletion."`
	Rotate Rotate `json:"rotate" doc:"When a file is put aside and a new one begun, and how many are kept."`
}

// Rotate says when a file is put aside.
type Rotate struct {
	MaxBytes int64   `json:"max_bytes" default:"104857600" min:"1024" doc:"At this size."`
	Hours    float64 `json:"hours" min:"0" max:"8760" doc:"At this age; 0 for any."`
	Keep     int     `json:"keep" min:"0" max:"10000" doc:"How many that were put aside are kept; 0 for all."`
}

// Validate refuses paths that lead out of the folder.
func (s Settings) Validate() error {
	if !filepath.IsLocal(s.Path) || filepath.Base(s.Path) == "." {
		return framework.SettingErrors{{Name: "path", Reason: "must be a file below the folder of files, without .. and not absolute"}}
	}
	return nil
}

// Bounds of a batch: its lines share one sync to disk.
const (
	batchEvents = 1000
	batchWait   = 20 * time.Millisecond
)

// patient is a policy that gives nothing up: a disk that is full now has room later.
func patient() sink.Policy { return sink.Standard{MaxAttempts: math.MaxInt32, Cap: time.Minute} }

func open(_ context.Context, in framework.Instance[Settings]) (sink.Spec, error) {
	w := &writer{dir: cmp.Or(os.Getenv(EnvDir), "files"), settings: in.Settings, now: time.Now, sync: (*os.File).Sync}
	return sink.Spec{
		Sender: &lines{format: in.Settings.Format, write: w.append}, Policy: patient(), Close: w.close,
		Batch: sink.Batch{MaxEvents: batchEvents, Wait: batchWait},
	}, nil
}

// lines writes events as lines. It implements [sink.Sender].
type lines struct {
	format string
	write  func(ctx context.Context, lines []byte) error
}

// Prepare writes an event as one line.
func (l *lines) Prepare(_ context.Context, e *ingest.Event) (*sink.Message, error) {
	line, err := sink.Line(e, l.format)
	if err != nil {
		return nil, err
	}
	return &sink.Message{Event: e, Body: line}, nil
}

// Send writes a batch, and answers when it is durable.
func (l *lines) Send(ctx context.Context, batch []*sink.Message) sink.Answer {
	var b bytes.Buffer
	for _, m := range batch {
		b.Write(m.Body)
	}
	if err := l.write(ctx, b.Bytes()); err != nil {
		return sink.Answer{Err: err}
	}
	return sink.Answer{Status: 200}
}
