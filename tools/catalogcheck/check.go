package catalogcheck

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Options say how a check runs. The zero value is ready for use.
type Options struct {
	// Format of the output. The default is FormatText.
	Format Format
	// Write brings catalog_gen.go of each package up to date that has no
	// finding of severity error. Findings that it mends are not printed.
	Write bool
	// Fix mends what a machine can mend, and then writes as Write does. The
	// findings that are left are printed.
	Fix bool
	// Diff prints what Fix would change in the source as a patch, instead of the
	// findings, and changes nothing.
	Diff bool
	// CacheDir is the folder where the verdicts on packages are kept, which a later
	// check of the same packages takes over as long as nothing of them has changed.
	// Nothing is kept if it is "". See [DefaultCacheDir].
	CacheDir string
}

func (o Options) withDefaults() Options {
	if o.Format == "" {
		o.Format = FormatText
	}
	return o
}

// ErrLoad is wrapped by the errors about packages that cannot be checked,
// because they do not exist or do not compile.
var ErrLoad = errors.New("packages could not be loaded")

// LoadError lists what the go command and the compiler say about packages that
// cannot be checked.
type LoadError struct {
	// Problems are lines in the compiler's form, "file:line:column: text".
	Problems []string
}

// Error is the problems, one a line.
func (e *LoadError) Error() string { return strings.Join(e.Problems, "\n") }

// Unwrap makes errors.Is(err, ErrLoad) true.
func (e *LoadError) Unwrap() error { return ErrLoad }

// Check loads the packages that the patterns name, as seen from dir ("" is the
// current folder), and prints every finding to out, sorted by place. findings
// counts those of severity error: warnings are printed, but let a check pass.
// The error wraps [ErrLoad] when packages cannot be loaded; it then holds the
// compiler's messages, and nothing was checked.
func Check(ctx context.Context, dir string, patterns []string, options Options, out io.Writer) (findings int, err error) {
	options = options.withDefaults()
	if err := options.Format.validate(); err != nil {
		return 0, err
	}
	found, err := checkAndFix(ctx, dir, patterns, options, out)
	if err != nil || options.Diff {
		return countErrors(found), err
	}
	from, err := absolute(dir)
	if err != nil {
		return 0, err
	}
	return countErrors(found), printFindings(out, options.Format, from, found)
}
