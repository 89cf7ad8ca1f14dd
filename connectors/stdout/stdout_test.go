package stdout

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/sink"
	"github.com/weirhq/weir/ingest"
)

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestEventsArePrintedAsLines(t *testing.T) {
	t.Parallel()
	spec, err := Plugin.OpenSink(t.Context(), framework.OpenRequest{Settings: map[string]any{}})
	require.NoError(t, err)
	require.Equal(t, sink.Ordered, spec.WithDefaults().Order)
	var b bytes.Buffer
	s := &sender{"json", &printer{to: &b}}
	var batch []*sink.Message
	for _, payload := range []string{`{"a": 1}`, `[ 2 ]`} {
		m, err := s.Prepare(t.Context(), &ingest.Event{Payload: []byte(payload)})
		require.NoError(t, err)
		batch = append(batch, m)
	}
	require.Equal(t, 200, s.Send(t.Context(), batch).Status)
	require.Equal(t, "{\"a\":1}\n[2]\n", b.String())
	s.out.to = broken{}
	require.Error(t, s.Send(t.Context(), batch).Err)
}
