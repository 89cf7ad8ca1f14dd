package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/weirhq/weir/framework/store/groupcommit"
)

// Options say where a store is and how it is kept. Zero fields but Dir take
// their defaults.
type Options struct {
	// Dir is the folder of the store. It is made when it does not exist.
	Dir string
	// Logger takes failures of the database. Default: none.
	Logger *slog.Logger
	// Clock tells the time that expiry is counted on. Default: time.Now.
	Clock func() time.Time
	// CacheBytes bounds the page cache of the writing connection. Default: 64 MiB.
	CacheBytes int
	// MapBytes bounds how much of the file each connection maps into memory.
	// Default: 256 MiB. -1 maps nothing.
	MapBytes int
	// Readers bounds the number of reading connections. Default: 4.
	Readers int
	// QueryTimeout is the deadline of one read. Default: 5 s.
	QueryTimeout time.Duration
	// QueueUnits and QueueBytes bound what waits for the writer. Defaults: those
	// of package groupcommit.
	QueueUnits, QueueBytes int
	// Space asks for the room on the file system of a folder. Default: DiskSpace.
	// It is asked at most once a second, by whoever commits next.
	Space func(dir string) (Space, error)

	// failpoint is called before every statement of the writer, in tests.
	failpoint func(statement string) error
	// walLimit replaces the constant.
	walLimit int
	// manual leaves expired rows and the log to the test.
	manual bool
	// spaceEvery replaces the constant.
	spaceEvery time.Duration
	// synchronous replaces FULL in the test that proves that FULL is needed.
	synchronous string
}

// Defaults of [Options].
const (
	DefaultCacheBytes   = 64 << 20
	DefaultMapBytes     = 256 << 20
	DefaultReaders      = 4
	DefaultQueryTimeout = 5 * time.Second
)

// FileName is the file of a store in its folder.
const FileName = "weir.db"

const (
	lockName = "weir.lock"
	// walLimit is the size of the log, in pages of 4 KiB, at which the writer
	// itself empties it: 64 MiB.
	walLimit = 16 << 10
	// walPages is how many pages the writer may have written before the log is
	// copied back beside it: 8 MiB.
	walPages = 2 << 10
	// trimRows bounds how many rows one transaction removes.
	trimRows = 1000
	// trimEvery is how often expired rows are looked for.
	trimEvery = time.Hour
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	switch o.MapBytes {
	case 0:
		o.MapBytes = DefaultMapBytes
	case -1:
		o.MapBytes = 0
	}
	if o.Readers == 0 {
		o.Readers = DefaultReaders
	}
	if o.QueryTimeout == 0 {
		o.QueryTimeout = DefaultQueryTimeout
	}
	if o.walLimit == 0 {
		o.walLimit = walLimit
	}
	if o.Space == nil {
		o.Space = DiskSpace
	}
	if o.spaceEvery == 0 {
		o.spaceEvery = spaceEvery
	}
	if o.synchronous == "" {
		o.synchronous = "FULL"
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("the folder of the store is not set"))
	}
	for _, v := range []struct {
		name  string
		value int
	}{
		{"cache bytes", o.CacheBytes},
		{"map bytes", o.MapBytes},
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
