package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/framework/store/groupcommit"
)

// Options say where a store is and how it is used. Zero fields but URL take
// their defaults.
type Options struct {
	// URL is that of the database, "postgres://user:password@host:port/name?…",
	// or a list of key=value pairs as libpq takes it. PGHOST and the other
	// variables of libpq fill in what it leaves out.
	URL string
	// Direct is the URL of the same database without a pooler in between, to listen
	// for what other nodes record. Default: URL, where that leads to the server itself.
	Direct string
	// Node names this process to others that want the store. Default: the host's name.
	Node string
	// Logger takes failures of the database. Default: none.
	Logger *slog.Logger
	// Readers bounds the number of reading connections. Default: 4. Three more
	// connections write, renew the leases and do upkeep.
	Readers int
	// QueryTimeout is the deadline of one read. Default: 5 s.
	QueryTimeout time.Duration
	// QueueUnits and QueueBytes bound what waits for the writer. Defaults: those
	// of package groupcommit.
	QueueUnits, QueueBytes int

	// Observe opens the store beside the nodes: nothing of it is taken, no
	// background work is done, and only units that need no lease are committed. It
	// is for commands such as a backup.
	Observe bool

	// lease replaces [LeaseDuration] in tests.
	lease time.Duration
	// segment replaces [segmentAge] in tests.
	segment time.Duration
	// settled replaces [segmentSettled] in tests. -1 means at once.
	settled time.Duration
	// clock replaces the database's clock in tests of what expires.
	clock func() time.Time
	// failpoint is called before every statement of the writer, in tests. The
	// statements are then sent one by one.
	failpoint func(statement string) error
}

// Defaults of [Options].
const (
	DefaultReaders      = 4
	DefaultQueryTimeout = 5 * time.Second
)

const (
	// LeaseDuration is how long a process that is not heard of keeps its shards.
	// The others notice within a fifth of it more.
	LeaseDuration = 10 * time.Second
	// segmentAge is how long one segment of the log is appended to.
	segmentAge = 7 * 24 * time.Hour
	// segmentSettled is how long after the next segment was opened nobody writes to
	// one any more: much longer than a transaction may last.
	segmentSettled = 10 * time.Minute
	// trimRows bounds how many rows one transaction removes.
	trimRows = 1000
	// upkeepEvery is how often expired rows are looked for.
	upkeepEvery = time.Hour
	// changeTimeout is the deadline of one change that is not a unit.
	changeTimeout = 10 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Node == "" {
		o.Node = "unknown host"
		if host, err := os.Hostname(); err == nil {
			o.Node = host
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Readers == 0 {
		o.Readers = DefaultReaders
	}
	if o.QueryTimeout == 0 {
		o.QueryTimeout = DefaultQueryTimeout
	}
	if o.lease == 0 {
		o.lease = LeaseDuration
	}
	if o.segment == 0 {
		o.segment = segmentAge
	}
	if o.settled == 0 {
		o.settled = segmentSettled
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	if o.URL == "" {
		errs = append(errs, errors.New("the URL of the database is not set"))
	}
	if !validText(o.Node) || len(o.Node) > groupcommit.MaxNameBytes {
		errs = append(errs, fmt.Errorf("the name of the node must be valid UTF-8 without NUL, at most %d bytes", groupcommit.MaxNameBytes))
	}
	for _, v := range []struct {
		name  string
		value int
	}{
		{"readers", o.Readers},
		{"query timeout", int(o.QueryTimeout)},
		{"queue units", o.QueueUnits},
		{"queue bytes", o.QueueBytes},
	} {
		if v.value < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative", v.name))
		}
	}
	return errors.Join(errs...)
}

func (o Options) engine(secret []byte) groupcommit.Config {
	return groupcommit.Config{Secret: secret, Logger: o.Logger, QueueUnits: o.QueueUnits, QueueBytes: o.QueueBytes}
}

// validText says whether a text column takes all of texts. A text that it does
// not take cannot name a row either.
func validText(texts ...string) bool {
	for _, s := range texts {
		if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			return false
		}
	}
	return true
}
