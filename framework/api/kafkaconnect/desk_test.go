package kafkaconnect

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/config"
)

// shelf is a desk that keeps its connections in memory.
type shelf struct {
	mu      sync.Mutex
	plugins []framework.Plugin
	kept    map[string]Connection
	// streams are the ids of the project's streams.
	streams []config.StreamRef
	offsets map[string][]Offset
	acted   []string
	refuse  error
}

func newShelf(plugins ...framework.Plugin) *shelf {
	return &shelf{plugins: plugins, kept: map[string]Connection{}, offsets: map[string][]Offset{}, streams: []config.StreamRef{
		{Connection: "shop", Stream: "orders"}, {Connection: "shop", Stream: "customers"},
	}}
}

func (s *shelf) List(_ context.Context, project string) (list []Connection, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, c := range s.kept {
		if key == project+"/"+c.Name {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(x, y Connection) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	return list, nil
}

func (s *shelf) Get(_ context.Context, project, name string) (Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.kept[project+"/"+name]
	if !ok {
		return c, ErrNotFound
	}
	return c, nil
}

func (s *shelf) Check(_ context.Context, _ string, spec Spec) error {
	if s.refuse != nil {
		return s.refuse
	}
	found := &InvalidError{}
	for _, p := range s.plugins {
		if p.Key() != spec.Connector {
			continue
		}
		if spec.Type == typeSink {
			p, _ = p.AsSink()
			_, errs := config.Subscribed(spec.Streams, s.streams)
			for _, err := range errs {
				if err != nil {
					found.Faults = append(found.Faults, Fault{"streams", err.Error()})
				}
			}
		}
		if settings, ok := errors.AsType[framework.SettingErrors](p.CheckSettings(spec.Settings)); ok {
			for _, e := range settings {
				found.Faults = append(found.Faults, Fault{e.Name, e.Reason})
			}
		}
	}
	if len(found.Faults) == 0 {
		return nil
	}
	return found
}

func (s *shelf) Create(ctx context.Context, project string, spec Spec, state State) error {
	if err := s.Check(ctx, project, spec); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.kept[project+"/"+spec.Name]; ok {
		return ErrExists
	}
	// What was decoded from a revision has numbers as texts of digits.
	s.kept[project+"/"+spec.Name] = Connection{Spec: stored(spec), State: state}
	for _, stream := range spec.Streams {
		s.offsets[project+"/"+spec.Name] = append(s.offsets[project+"/"+spec.Name], Offset{Stream: stream, Next: 1})
	}
	return nil
}

func stored(spec Spec) Spec {
	raw, err := json.Marshal(spec.Settings)
	if err != nil {
		panic(err)
	}
	value, err := parseJSON(string(raw))
	if err != nil {
		panic(err)
	}
	spec.Settings, _ = value.(map[string]any)
	return spec
}

func (s *shelf) Replace(ctx context.Context, project string, spec Spec) error {
	if err := s.Check(ctx, project, spec); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.kept[project+"/"+spec.Name]
	c.Spec = stored(spec)
	s.kept[project+"/"+spec.Name] = c
	return nil
}

func (s *shelf) Delete(_ context.Context, project, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, project+"/"+name)
	return nil
}

func (s *shelf) Act(_ context.Context, project, name string, action Action) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acted = append(s.acted, name+" "+string(action))
	c := s.kept[project+"/"+name]
	switch action {
	case ActionPause:
		c.State = StatePaused
	case ActionStop:
		c.State = StateStopped
	default:
		c.State, c.Trace = StateRunning, ""
	}
	s.kept[project+"/"+name] = c
	return nil
}

func (s *shelf) Offsets(_ context.Context, project, name string) ([]Offset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.offsets[project+"/"+name]), nil
}

func (s *shelf) Move(_ context.Context, project, name string, offsets []Offset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.offsets[project+"/"+name]
	for _, o := range offsets {
		i := slices.IndexFunc(have, func(h Offset) bool { return h.Stream == o.Stream })
		if i < 0 {
			return &InvalidError{[]Fault{{"", "the connection does not read " + o.Stream}}}
		}
		if o.Reset {
			o = Offset{Stream: o.Stream, Next: 1}
		}
		have[i] = o
	}
	return nil
}
