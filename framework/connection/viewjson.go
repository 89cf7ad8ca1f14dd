package connection

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// viewFields are what a [View] shows beside its [Spec].
type viewFields struct {
	ID               string            `json:"id"`
	Form             string            `json:"form,omitempty"`
	State            State             `json:"state"`
	Reason           string            `json:"reason,omitempty"`
	Node             string            `json:"node,omitempty"`
	Revision         int64             `json:"revision"`
	DeployedRevision int64             `json:"deployed_revision"`
	RunningRevision  int64             `json:"running_revision"`
	ManagedBy        string            `json:"managed_by"`
	Secrets          map[string]string `json:"secrets"`
	Warnings         Faults            `json:"warnings"`
	CreatedAt        time.Time         `json:"created_at"`
	UpdatedAt        time.Time         `json:"updated_at"`
}

// timeFormat is RFC 3339 with microseconds.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// MarshalJSON writes the view as the API shows it: the keys of the spec, and what
// is known beside them.
func (v View) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := v.AppendJSON(&b)
	return b.Bytes(), err
}

// AppendJSON is MarshalJSON into b, with the members of more, objects that are not
// empty, beside those of the view.
func (v View) AppendJSON(b *bytes.Buffer, more ...any) error {
	if v.Streams == nil {
		v.Streams = []string{}
	}
	f := viewFields{
		v.ID, v.Form, v.State, v.Reason, v.Node, v.Revision, v.Deployed, v.Running, v.ManagedBy, v.Fingerprints, v.Warnings, v.CreatedAt, v.UpdatedAt,
	}
	if f.Secrets == nil {
		f.Secrets = map[string]string{}
	}
	if f.Warnings == nil {
		f.Warnings = Faults{}
	}
	parts := append(v.parts(), struct {
		viewFields
		CreatedAt string `json:"created_at"`
		UpdatedAt string `json:"updated_at"`
	}{f, v.CreatedAt.UTC().Format(timeFormat), v.UpdatedAt.UTC().Format(timeFormat)})
	return appendObject(b, append(parts, more...)...)
}

// UnmarshalJSON reads what MarshalJSON has written.
func (v *View) UnmarshalJSON(b []byte) error {
	var f viewFields
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("decode connection: %w", err)
	}
	*v = View{
		ID: f.ID, Form: f.Form, State: f.State, Reason: f.Reason, Node: f.Node, Revision: f.Revision, Deployed: f.DeployedRevision,
		Running: f.RunningRevision, ManagedBy: f.ManagedBy, Fingerprints: f.Secrets, Warnings: f.Warnings, CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
	}
	return v.Spec.UnmarshalJSON(b)
}

func encodeView(v View) ([]byte, error) { return v.MarshalJSON() }

func decodeView(b []byte, v *View) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	return v.UnmarshalJSON(b)
}
