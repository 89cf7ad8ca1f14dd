//go:build cgo

package sqlite

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework/internal/testneed"
)

// What was acknowledged is there after a loss of power: of everything that the
// process wrote, only what it had synced survives. With synchronous=NORMAL or OFF
// the same test must lose something, or it proves nothing. The writes are caught
// between SQLite and the C library, which the driver without cgo does not use; it
// runs the same statements with the same settings.
func TestAcknowledgedUnitsSurviveLosingUnsyncedWrites(t *testing.T) {
	t.Parallel()
	shim := compileShim(t)
	for _, c := range []struct {
		// synchronous is "" for what the store does by itself.
		synchronous string
		survives    bool
	}{{"", true}, {"NORMAL", false}, {"OFF", false}} {
		t.Run("synchronous="+c.synchronous, func(t *testing.T) {
			t.Parallel()
			dir, log := t.TempDir(), filepath.Join(t.TempDir(), "writes")
			p := spawn(t, dir, "deliveries "+c.synchronous, "LD_PRELOAD="+shim, "UNSYNCED_DIR="+dir, "UNSYNCED_LOG="+log)
			var acknowledged []string
			for p.lines.Scan() && p.lines.Text() != "done" {
				id, ok := strings.CutPrefix(p.lines.Text(), "acknowledged ")
				require.True(t, ok, p.lines.Text())
				acknowledged = append(acknowledged, id)
			}
			require.Len(t, acknowledged, 40)
			require.NoError(t, p.cmd.Process.Kill())
			require.True(t, p.wait(t))

			lost := func(keep func(i int) bool) []string {
				found := afterPowerLoss(t, log, keep)
				return slices.DeleteFunc(slices.Clone(acknowledged), func(id string) bool { return found[id] })
			}
			nothing := lost(func(int) bool { return false })
			if !c.survives {
				require.NotEmpty(t, nothing, "nothing was lost without syncs: this test sees nothing")
				return
			}
			require.Empty(t, nothing)
			// The disk may also have written some of what it was not asked to.
			require.Empty(t, lost(func(i int) bool { return i%2 == 0 }))
		})
	}
}

func compileShim(t *testing.T) string {
	t.Helper()
	cc := testneed.Tool(t, "a C compiler", "cc", "gcc", "clang")
	shim := filepath.Join(t.TempDir(), "unsynced.so")
	out, err := exec.CommandContext(t.Context(), cc, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", shim, "testdata/unsynced.c").CombinedOutput()
	require.NoError(t, err, string(out))
	return shim
}

// diskFile is a file as the disk has it, and what was written since.
type diskFile struct {
	synced  []byte
	pending []func([]byte) []byte
}

// afterPowerLoss rebuilds the files from the log of writes, opens the store and
// returns the ids of the deliveries whose events are there. keep says which of
// the unsynced writes reached the disk all the same.
func afterPowerLoss(t *testing.T, log string, keep func(i int) bool) map[string]bool {
	t.Helper()
	dir := t.TempDir()
	for path, f := range replay(t, log) {
		for i, write := range f.pending {
			if keep(i) {
				f.synced = write(f.synced)
			}
		}
		if !strings.HasSuffix(path, "-shm") {
			require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(path)), f.synced, 0o600))
		}
	}
	found := map[string]bool{}
	s, err := Open(t.Context(), Options{Dir: dir, manual: true})
	if err != nil {
		// Without syncs the file may be no database at all: everything is lost.
		t.Log(err)
		return found
	}
	defer func() { require.NoError(t, s.Close()) }()
	list, err := s.Connections(t.Context())
	require.NoError(t, err)
	for _, c := range list {
		events, err := s.Events(t.Context(), c.ID, "s", 0, 1000)
		require.NoError(t, err)
		for i, e := range events {
			require.Equal(t, int64(i+1), e.Sequence)
			found[strings.TrimPrefix(e.Subject, "cus_")] = true
		}
	}
	return found
}

func replay(t *testing.T, log string) map[string]*diskFile {
	t.Helper()
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	files := map[string]*diskFile{}
	r := bytes.NewReader(text)
	for r.Len() > 0 {
		kind, err := r.ReadByte()
		require.NoError(t, err)
		var n [3]int64
		require.NoError(t, binary.Read(r, binary.NativeEndian, &n))
		offset, length := n[0], n[1]
		path, data := make([]byte, n[2]), make([]byte, length)
		_, err = io.ReadFull(r, path)
		require.NoError(t, err)
		_, err = io.ReadFull(r, data)
		require.NoError(t, err)
		f := files[string(path)]
		if f == nil {
			f = &diskFile{}
			files[string(path)] = f
		}
		switch kind {
		case 'W':
			f.pending = append(f.pending, func(b []byte) []byte {
				if short := offset + length - int64(len(b)); short > 0 {
					b = append(b, make([]byte, short)...)
				}
				copy(b[offset:], data)
				return b
			})
		case 'T':
			f.pending = append(f.pending, func(b []byte) []byte {
				if int64(len(b)) >= offset {
					return b[:offset]
				}
				return append(b, make([]byte, offset-int64(len(b)))...)
			})
		case 'S':
			for _, write := range f.pending {
				f.synced = write(f.synced)
			}
			f.pending = nil
		case 'U':
			delete(files, string(path))
		default:
			require.FailNow(t, "unknown record", "%q", kind)
		}
	}
	return files
}
