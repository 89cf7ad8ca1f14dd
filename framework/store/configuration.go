package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Desired is the state that an operator wants a connection to be in.
type Desired string

// Desired states.
const (
	// DesiredDraft is a connection that was never deployed, or is not any more.
	DesiredDraft Desired = "draft"
	// DesiredRunning is one that does its work.
	DesiredRunning Desired = "running"
	// DesiredPaused is one whose polls and deliveries wait; webhooks are taken.
	DesiredPaused Desired = "paused"
	// DesiredStopped is as paused, and offsets may be changed.
	DesiredStopped Desired = "stopped"
)

// Known reports whether d is one of the states above.
func (d Desired) Known() bool {
	return d == DesiredDraft || d == DesiredRunning || d == DesiredPaused || d == DesiredStopped
}

// Who owns a connection.
const (
	// ManagedByFile is a connection that is written in the operator's file.
	ManagedByFile = "file"
	// ManagedByAPI is one that is changed through the API and the dashboard.
	ManagedByAPI = "api"
)

// Configured is a connection as it is configured.
type Configured struct {
	Connection
	// State is the desired state. Enabled says beside it whether anything runs.
	State Desired
	// Latest is the number of the latest revision and Deployed that of the one
	// that runs, 0 for none.
	Latest, Deployed int64
	// ManagedBy is ManagedByFile or ManagedByAPI.
	ManagedBy string
	// Form is the form in which the connection was given, for those who read it
	// back: "webhook", or "" for the usual one.
	Form string
	// Labels is a JSON object of texts, "" for none.
	Labels string
	// Version is that of the configuration that changed the connection last.
	Version   int64
	ChangedAt time.Time
}

// Revision is one version of what a connection is configured to be.
type Revision struct {
	ConnectionID string
	// Number counts from 1, without gaps.
	Number int64
	// Spec is the configuration as JSON, as the caller encoded it.
	Spec      []byte
	CreatedAt time.Time
	// By and Message say who made it, and why.
	By, Message string
}

// Deployment is a connection with its deployed revision.
type Deployment struct {
	Configured
	// Spec is that of the deployed revision, nil when none is.
	Spec []byte
}

// Project is a namespace of connections.
type Project struct {
	Name, Description string
	// Version is that of the configuration that changed it last; 0 for the
	// default project as long as nobody has.
	Version              int64
	CreatedAt, ChangedAt time.Time
}

// DefaultProject is there from the start.
const DefaultProject = "default"

// ConnectionChange makes, changes or deletes a connection.
type ConnectionChange struct {
	// Configured is the connection as it is to be. With Version 0 it is made, and
	// must have an ID of its own; else it must have that very version now. Version
	// and ChangedAt are written by the store; a CreatedAt of zero is the request's At.
	Configured
	// Spec is that of the revision with the number Latest, nil for no new one.
	Spec []byte
	// Delete removes the connection. Of it, nothing but ID and Version is read.
	Delete bool
}

// Fits compares the change with what is there: whether the connection exists, its
// version and its latest revision. It fails with ErrNotFound, or with ErrStale when
// somebody else was faster.
func (c *ConnectionChange) Fits(exists bool, version, latest int64) error {
	want := latest
	if c.Spec != nil {
		want++
	}
	switch {
	case !exists && (c.Delete || c.Version != 0):
		return ErrNotFound
	case exists && version != c.Version:
		return ErrStale
	case !c.Delete && c.Latest != want:
		return fmt.Errorf("its latest revision is %d: %w", latest, ErrStale)
	}
	return nil
}

// ProjectChange makes, changes or deletes a project. A project with connections
// cannot be deleted, and the default one never.
type ProjectChange struct {
	Name, Description string
	// Version is the one that the project must have, 0 when it is to be made.
	Version int64
	Delete  bool
}

// Configuration is a change of the configuration: all of it happens, or nothing.
type Configuration struct {
	// Key names the request. One that was carried out is not carried out again.
	Key string
	// Digest identifies what was asked: one key with two digests is [ErrReused].
	Digest []byte
	// Answer is kept with the key, for who asks again.
	Answer []byte
	// At is when it was asked; By and Message are written into the revisions.
	At          time.Time
	By, Message string
	// Projects and Connections are changed in this order.
	Projects    []ProjectChange
	Connections []ConnectionChange
}

// Configuring says what became of a [Configuration].
type Configuring struct {
	// Version is that of the configuration that it made.
	Version int64
	// Repeated says that the request was carried out before; Answer is that of then.
	Repeated bool
	Answer   []byte
}

// Errors of a configuration. A backend wraps them.
var (
	// ErrExists says that a name is taken.
	ErrExists = errors.New("exists already")
	// ErrStale says that what is to be changed was changed by somebody else.
	ErrStale = errors.New("was changed meanwhile")
	// ErrReused says that the key of a request was used for another one.
	ErrReused = errors.New("key was used for another request")
	// ErrNotEmpty says that a project still has connections.
	ErrNotEmpty = errors.New("still has connections")
)

const (
	// MaxSpecBytes bounds the configuration of one connection.
	MaxSpecBytes = 1 << 20
	// MaxRequestKeyBytes bounds the key of a request.
	MaxRequestKeyBytes = 400
	// RequestKeyAge is how long the keys of requests are remembered at least.
	RequestKeyAge = 24 * time.Hour
)

// Configurations is the part of a store that keeps what connections are
// configured to be.
type Configurations interface {
	// Configure carries c out in one transaction. Errors: ErrExists (a name is
	// taken), ErrStale, ErrNotFound (a connection or project is not there),
	// ErrNotEmpty, ErrReused, ErrInvalid, ErrUnavailable. After ErrUnavailable the
	// same c may be handed in again: it happens once.
	Configure(ctx context.Context, c Configuration) (Configuring, error)
	// Requested returns digest and answer of a request that was carried out.
	Requested(ctx context.Context, key string) (digest, answer []byte, ok bool, err error)
	// ConfigurationVersion is raised by every change of the configuration.
	ConfigurationVersion(ctx context.Context) (int64, error)
	// ConfiguredVersions returns the version of every connection by its id.
	ConfiguredVersions(ctx context.Context) (map[string]int64, error)
	// Deployments lists connections with their deployed revisions: those with
	// the given ids, or all for nil.
	Deployments(ctx context.Context, ids []string) ([]Deployment, error)
	// LatestSpecs returns the specs of the latest revisions of connections by their
	// ids. What is not there, or has no revision, is left out.
	LatestSpecs(ctx context.Context, ids []string) (map[string][]byte, error)
	// Configured lists the connections of a project by name, after a name.
	Configured(ctx context.Context, project, after string, limit int) ([]Configured, error)
	// ConfiguredNamed returns one connection, or ErrNotFound.
	ConfiguredNamed(ctx context.Context, project, name string) (Configured, error)
	// Revision returns one revision, or ErrNotFound.
	Revision(ctx context.Context, connectionID string, number int64) (Revision, error)
	// Revisions lists revisions of a connection, newest first, before a number
	// (0 for the newest).
	Revisions(ctx context.Context, connectionID string, before int64, limit int) ([]Revision, error)
	// AllRevisions lists revisions of all connections by connection id and number,
	// after the given ones: for who looks at every secret.
	AllRevisions(ctx context.Context, afterID string, afterNumber int64, limit int) ([]Revision, error)
	// RewriteRevision replaces the spec of a revision that still has the spec
	// before, by one that means the same. Else it fails with ErrStale.
	RewriteRevision(ctx context.Context, connectionID string, number int64, before, after []byte) error
	// RenamedConnections returns the ids of the connections that have streams with
	// former keys, see [Store.RenameStreams].
	RenamedConnections(ctx context.Context) ([]string, error)
	// Projects lists the projects by name; the default one is always there.
	Projects(ctx context.Context) ([]Project, error)
}

// CheckConfiguration says everything that keeps c from being stored. Backends
// call it.
func CheckConfiguration(c Configuration) error {
	var errs []error
	invalid := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
	}
	if c.Key == "" || len(c.Key) > MaxRequestKeyBytes || !plainText(c.Key) {
		invalid("the key of a request must be text of 1 to %d bytes", MaxRequestKeyBytes)
	}
	if c.At.IsZero() {
		invalid("the request has no time")
	}
	if !plainText(c.By) || !plainText(c.Message) {
		invalid("who asks, and why, must be valid UTF-8 without NUL bytes")
	}
	for _, p := range c.Projects {
		if p.Name == "" || len(p.Name) > maxConnectionText || !plainText(p.Name) || !plainText(p.Description) {
			invalid("project %q has a name or description that cannot be kept", p.Name)
		}
		if p.Delete && p.Name == DefaultProject {
			invalid("the project %q cannot be deleted", p.Name)
		}
	}
	for i := range c.Connections {
		if err := checkChange(&c.Connections[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func checkChange(c *ConnectionChange) error {
	if c.ID == "" || len(c.ID) > maxConnectionText || !plainText(c.ID) {
		return fmt.Errorf("%w: connection %q has no id", ErrInvalid, c.Name)
	}
	if c.Delete {
		return nil
	}
	errs := []error{CheckConnection(c.Connection)}
	switch {
	case !c.State.Known():
		errs = append(errs, fmt.Errorf("%w: state %q of connection %q is unknown", ErrInvalid, c.State, c.Name))
	case c.Deployed < 0 || c.Deployed > c.Latest:
		errs = append(errs, fmt.Errorf("%w: connection %q has no revision %d", ErrInvalid, c.Name, c.Deployed))
	case c.Spec != nil && c.Latest < 1:
		errs = append(errs, fmt.Errorf("%w: the revision of connection %q has no number", ErrInvalid, c.Name))
	case len(c.Spec) > MaxSpecBytes:
		errs = append(errs, fmt.Errorf("%w: the configuration of connection %q has %d bytes; the limit is %d", ErrInvalid, c.Name, len(c.Spec), MaxSpecBytes))
	}
	if !plainText(c.ManagedBy) || !plainText(c.Form) || !plainText(c.Labels) {
		errs = append(errs, fmt.Errorf("%w: connection %q is not valid UTF-8, or holds a NUL byte", ErrInvalid, c.Name))
	}
	return errors.Join(errs...)
}

func plainText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// WithDefaultProject returns projects with the default one. Backends call it.
func WithDefaultProject(projects []Project) []Project {
	for i, p := range projects {
		if p.Name == DefaultProject {
			return projects
		}
		if p.Name > DefaultProject {
			return append(projects[:i:i], append([]Project{{Name: DefaultProject}}, projects[i:]...)...)
		}
	}
	return append(projects, Project{Name: DefaultProject})
}
