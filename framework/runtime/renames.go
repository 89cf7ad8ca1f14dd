package runtime

import (
	"context"
	"fmt"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/store"
)

// rename gives the stored streams of a connection the keys that its connector
// declares now, and notes those that a newer version of it has renamed.
func (r *Runtime) rename(ctx context.Context, c *connection) error {
	var streams []store.DeclaredStream
	for _, s := range c.declared {
		streams = append(streams, store.DeclaredStream{Key: s.Key, Former: s.Former()})
	}
	renames, err := r.store.RenameStreams(ctx, c.ID, streams)
	if err != nil {
		return fmt.Errorf("connection %q: rename streams: %w", c.Name, err)
	}
	log := r.log.With("project", c.Project, "connection", c.Name)
	for _, done := range renames.Done {
		log.Info("stream renamed; it keeps its checkpoint, events and runs", "stream", done.To, "before", done.From)
	}
	for _, apart := range renames.Apart {
		log.Warn("stream was not renamed, because both keys hold events or a checkpoint; they stay two streams", "stream", apart.To, "before", apart.From)
	}
	for _, ahead := range renames.Ahead {
		log.Error("a newer version of the connector renamed this stream; it does not run here", "stream", ahead.From, "now", ahead.To)
		if c.renamed == nil {
			c.renamed = map[string]string{}
		}
		c.renamed[ahead.From] = ahead.To
		r.deference.renamed(c.ID, ahead)
	}
	return nil
}

// refuse fails for a stream that a newer version of the connector has renamed.
func (s *selection) refuse(stream string) error {
	if now, renamed := s.renamed[stream]; renamed {
		return fmt.Errorf("%w: it renamed stream %q to %q; run the newer connector", framework.ErrNewerConnector, stream, now)
	}
	return nil
}
