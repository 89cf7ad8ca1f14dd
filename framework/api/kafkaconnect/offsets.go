package kafkaconnect

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Members of an offset of a sink, as Kafka Connect writes them.
const (
	memberTopic     = "kafka_topic"
	memberPartition = "kafka_partition"
	memberOffset    = "kafka_offset"
	// memberStream and memberCursor are those of a source.
	memberStream = "stream"
	memberCursor = "cursor"
)

type offsetView struct {
	Partition map[string]any `json:"partition"`
	Offset    map[string]any `json:"offset"`
}

func (f *Face) offsets(r *http.Request) (reply, error) {
	c, err := f.find(r, notFound)
	if err != nil {
		return reply{}, err
	}
	offsets, err := f.config.Desk.Offsets(r.Context(), project(r), c.Name)
	if err != nil {
		return reply{}, err
	}
	list := []offsetView{}
	for _, o := range offsets {
		switch {
		case c.Type == typeSink:
			list = append(list, offsetView{map[string]any{memberTopic: o.Stream, memberPartition: 0}, map[string]any{memberOffset: o.Next}})
		case o.Cursor != nil:
			list = append(list, offsetView{map[string]any{memberStream: o.Stream}, map[string]any{memberCursor: o.Cursor}})
		}
	}
	return reply{status: http.StatusOK, body: map[string]any{"offsets": list}}, nil
}

const notStopped = "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint"

// stopped finds a connector whose offsets may be changed.
func (f *Face) stopped(r *http.Request) (Connection, error) {
	c, err := f.find(r, notFound)
	if err == nil && c.State != StateStopped && c.State != StateDisabled {
		err = errorf(http.StatusBadRequest, notStopped, exactName(c))
	}
	return c, err
}

func (f *Face) moveOffsets(r *http.Request) (reply, error) {
	c, err := f.stopped(r)
	if err != nil {
		return reply{}, err
	}
	body, err := readBody(r)
	if err != nil {
		return reply{}, err
	}
	list, err := readOffsets(c, body)
	if err != nil {
		return reply{}, err
	}
	if err := f.move(r, c, list); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: map[string]string{"message": "The offsets for this connector have been altered successfully"}}, nil
}

func (f *Face) resetOffsets(r *http.Request) (reply, error) {
	c, err := f.stopped(r)
	if err != nil {
		return reply{}, err
	}
	offsets, err := f.config.Desk.Offsets(r.Context(), project(r), c.Name)
	if err != nil {
		return reply{}, err
	}
	for i := range offsets {
		offsets[i] = Offset{Stream: offsets[i].Stream, Reset: true}
	}
	if err := f.move(r, c, offsets); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: map[string]string{"message": "The offsets for this connector have been reset successfully"}}, nil
}

func (f *Face) move(r *http.Request, c Connection, offsets []Offset) error {
	err := f.config.Desk.Move(r.Context(), project(r), c.Name, offsets)
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		return errorf(http.StatusBadRequest, "%s", invalid.Error())
	}
	return err
}

// readOffsets reads the offsets that are to be set. A null offset is the beginning.
func readOffsets(c Connection, body []byte) ([]Offset, error) {
	root, err := members("the request body", body)
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	for _, m := range root {
		if m.name != "offsets" || json.Unmarshal(m.value, &raw) != nil {
			return nil, errorf(http.StatusBadRequest, `the request body must be {"offsets": [{"partition": {…}, "offset": {…}}]}`)
		}
	}
	if len(raw) == 0 {
		return nil, errorf(http.StatusBadRequest, "Partitions / offsets need to be provided for an alter offsets request")
	}
	var list []Offset
	seen := map[string]bool{}
	for _, one := range raw {
		o, err := readOffset(c, one)
		if err != nil {
			return nil, err
		}
		if seen[o.Stream] {
			return nil, errorf(http.StatusBadRequest, "the partition of %s is there twice", o.Stream)
		}
		seen[o.Stream] = true
		list = append(list, o)
	}
	return list, nil
}

func readOffset(c Connection, raw []byte) (o Offset, err error) {
	entry, err := members("an entry of offsets", raw)
	if err != nil {
		return o, err
	}
	named := false
	o.Reset = true
	for _, m := range entry {
		switch m.name {
		case "partition":
			if o.Stream, err = readPartition(c, m.value); err != nil {
				return o, err
			}
			named = true
		case "offset":
			if string(m.value) == "null" {
				continue
			}
			o.Reset = false
			if err := readPosition(c, m.value, &o); err != nil {
				return o, err
			}
		default:
			return o, errorf(http.StatusBadRequest, "the member %q of an offset is unknown; there are partition and offset", m.name)
		}
	}
	if !named || o.Stream == "" {
		return o, errorf(http.StatusBadRequest, "The partition may not be null or empty")
	}
	return o, nil
}

func readPartition(c Connection, raw []byte) (stream string, err error) {
	list, err := members("a partition", raw)
	if err != nil {
		return "", err
	}
	for _, m := range list {
		switch {
		case m.name == memberTopic && c.Type == typeSink, m.name == memberStream && c.Type == typeSource:
			if json.Unmarshal(m.value, &stream) != nil {
				return "", errorf(http.StatusBadRequest, "%s of a partition must be text", m.name)
			}
		case m.name == memberPartition && c.Type == typeSink:
			if n, err := whole(m.value); err != nil || n != 0 {
				return "", errorf(http.StatusBadRequest, "%s must be 0: a stream has one partition", memberPartition)
			}
		default:
			return "", errorf(http.StatusBadRequest, "the member %q of a partition is unknown", m.name)
		}
	}
	return stream, nil
}

func readPosition(c Connection, raw []byte, o *Offset) error {
	list, err := members("an offset", raw)
	if err != nil {
		return err
	}
	for _, m := range list {
		switch {
		case m.name == memberOffset && c.Type == typeSink:
			if o.Next, err = whole(m.value); err != nil || o.Next < 0 {
				return errorf(http.StatusBadRequest, "%s must be a whole number, at least 0", memberOffset)
			}
		case m.name == memberCursor && c.Type == typeSource:
			o.Cursor = m.value
		default:
			return errorf(http.StatusBadRequest, "the member %q of an offset is unknown", m.name)
		}
	}
	if c.Type == typeSink && len(list) == 0 || c.Type == typeSource && o.Cursor == nil {
		return errorf(http.StatusBadRequest, "The offset may not be empty; null moves to the beginning")
	}
	return nil
}
