package framework

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
)

// redactedLog takes secrets out of what a connector logs.
type redactedLog struct {
	slog.Handler
	redact redactor
}

// Handle cleans the message and the attributes of a record.
func (h redactedLog) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.redact.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.redact.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

// WithAttrs cleans the attributes that all later records have.
func (h redactedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redactedLog{h.Handler.WithAttrs(h.redact.attrs(attrs)), h.redact}
}

// WithGroup opens a group.
func (h redactedLog) WithGroup(name string) slog.Handler {
	return redactedLog{h.Handler.WithGroup(name), h.redact}
}

func (r redactor) attrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = r.attr(a)
	}
	return clean
}

// attr returns a with secrets taken out. A value that holds one becomes text.
func (r redactor) attr(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindString:
		value = slog.StringValue(r.text(value.String()))
	case slog.KindGroup:
		value = slog.GroupValue(r.attrs(value.Group())...)
	case slog.KindAny:
		value = r.anyValue(value)
	default: // numbers, times and truth values
	}
	return slog.Attr{Key: r.text(a.Key), Value: value}
}

// anyValue cleans a value in both forms in which handlers write it.
func (r redactor) anyValue(value slog.Value) slog.Value {
	var forms []string
	switch v := value.Any().(type) {
	case error:
		forms = []string{v.Error(), fmt.Sprintf("%+v", v)}
	case []byte:
		forms = []string{string(v)}
	default:
		forms = []string{fmt.Sprintf("%+v", v)}
		if encoded, err := json.Marshal(v); err == nil {
			forms = append(forms, string(encoded))
		}
	}
	for _, form := range forms {
		if clean := r.text(form); clean != form {
			return slog.StringValue(clean)
		}
	}
	return value
}
