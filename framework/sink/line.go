package sink

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/weirhq/weir/ingest"
)

// Line writes an event as one line with its end, in the format cloudevents or
// json. Digits, escapes and the order of keys stay.
func Line(e *ingest.Event, format string) ([]byte, error) {
	content := []byte(e.Payload)
	if format == "cloudevents" {
		var err error
		if content, err = e.MarshalJSON(); err != nil {
			return nil, err
		}
	}
	if content == nil {
		content = []byte("null")
	}
	var line bytes.Buffer
	if err := json.Compact(&line, content); err != nil {
		return nil, fmt.Errorf("write event %s as a line: %w", e.ID, err)
	}
	return append(line.Bytes(), '\n'), nil
}
