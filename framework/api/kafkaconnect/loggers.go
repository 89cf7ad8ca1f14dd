package kafkaconnect

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/weirhq/weir/framework/loglevel"
)

// Levels are the levels of the log: that of the process, and those of single
// connections by "<project>.<connection>".
type Levels interface {
	// Levels returns the loggers that have a level, the root with them.
	Levels() map[string]loglevel.Level
	// Set gives a logger a level, and reports false when too many have one.
	Set(logger string, level slog.Level) bool
}

// levelNames are the levels as Kafka Connect calls them, and what they are here.
var levelNames = map[string]slog.Level{
	"TRACE": slog.LevelDebug, "ALL": slog.LevelDebug, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
	"WARN": slog.LevelWarn, "ERROR": slog.LevelError, "FATAL": slog.LevelError, "OFF": slog.LevelError + 100,
}

type levelView struct {
	Level    string `json:"level"`
	Modified *int64 `json:"last_modified"`
}

func viewOf(l loglevel.Level) levelView {
	v := levelView{Level: "OFF"}
	if l.Level <= slog.LevelError {
		v.Level = l.Level.String()
	}
	if !l.Modified.IsZero() {
		ms := l.Modified.UnixMilli()
		v.Modified = &ms
	}
	return v
}

func (f *Face) listLoggers(*http.Request) (reply, error) {
	list := map[string]levelView{}
	for name, l := range f.config.Levels.Levels() {
		list[name] = viewOf(l)
	}
	return reply{status: http.StatusOK, body: list}, nil
}

func loggerName(r *http.Request) (string, error) {
	name, err := url.PathUnescape(chi.URLParam(r, "logger"))
	if err != nil || name == "" || len(name) > maxNameLen {
		return "", errorf(http.StatusBadRequest, "the name of the logger in the path is malformed")
	}
	return name, nil
}

func (f *Face) getLogger(r *http.Request) (reply, error) {
	name, err := loggerName(r)
	if err != nil {
		return reply{}, err
	}
	l, ok := f.config.Levels.Levels()[name]
	if !ok {
		return reply{}, errorf(http.StatusNotFound, "Logger %s not found.", name)
	}
	return reply{status: http.StatusOK, body: viewOf(l)}, nil
}

func (f *Face) setLogger(r *http.Request) (reply, error) {
	name, err := loggerName(r)
	if err != nil {
		return reply{}, err
	}
	body, err := readBody(r)
	if err != nil {
		return reply{}, err
	}
	list, err := members("the request body", body)
	if err != nil {
		return reply{}, err
	}
	var text string
	for _, m := range list {
		if m.name == "level" && json.Unmarshal(m.value, &text) != nil {
			return reply{}, errorf(http.StatusBadRequest, "the member \"level\" must be text")
		}
	}
	if text == "" {
		return reply{}, errorf(http.StatusBadRequest, "Desired 'level' parameter was not specified in request.")
	}
	level, ok := levelNames[strings.ToUpper(text)]
	if !ok {
		return reply{}, errorf(http.StatusNotFound, "invalid log level '%s'.", text)
	}
	if !f.config.Levels.Set(name, level) {
		return reply{}, errorf(http.StatusConflict, "too many loggers have a level of their own; set that of root")
	}
	if strings.EqualFold(r.URL.Query().Get("scope"), "cluster") {
		return reply{status: http.StatusNoContent}, nil
	}
	return reply{status: http.StatusOK, body: []string{name}}, nil
}
