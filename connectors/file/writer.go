package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// writer appends to one file and puts it aside when it is large or old enough. It
// is open only between writes of a sink that runs.
type writer struct {
	dir      string
	settings Settings
	now      func() time.Time
	// sync has the file's content on the disk when it returns.
	sync func(*os.File) error

	mu   sync.Mutex
	root *os.Root
	file *os.File
	size int64
	born time.Time
}

// append writes lines, all or none of them, and returns when they are durable.
func (w *writer) append(_ context.Context, lines []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(int64(len(lines))); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", w.settings.Path, err), w.drop())
	}
	_, err := w.file.Write(lines)
	if err == nil {
		err = w.sync(w.file)
	}
	if err != nil {
		// What was written of it is cut off when the file is opened again.
		return errors.Join(fmt.Errorf("write %s: %w", w.settings.Path, err), w.file.Truncate(w.size), w.drop())
	}
	w.size += int64(len(lines))
	return nil
}

// ready opens the file, and a new one where the old one is full.
func (w *writer) ready(more int64) error {
	if w.file == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	r := w.settings.Rotate
	full := w.size > 0 && r.MaxBytes > 0 && w.size+more > r.MaxBytes
	old := w.size > 0 && r.Hours > 0 && w.now().Sub(w.born) >= time.Duration(r.Hours*float64(time.Hour))
	if !full && !old {
		return nil
	}
	if err := w.rotate(); err != nil {
		return fmt.Errorf("put it aside: %w", err)
	}
	return w.open()
}

// open opens the file. A line that a crash has cut is removed: its event is
// written again.
func (w *writer) open() error {
	if err := os.MkdirAll(w.dir, 0o750); err != nil {
		return err
	}
	if w.root == nil {
		root, err := os.OpenRoot(w.dir)
		if err != nil {
			return err
		}
		w.root = root
	}
	if folder := filepath.Dir(w.settings.Path); folder != "." {
		if err := w.root.MkdirAll(folder, 0o750); err != nil {
			return err
		}
	}
	f, err := w.root.OpenFile(w.settings.Path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	w.file = f
	end, err := wholeLines(f)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(end), w.syncFolder()); err != nil {
		return err
	}
	if _, err := f.Seek(end, io.SeekStart); err != nil {
		return err
	}
	w.size, w.born = end, w.now()
	if info, err := f.Stat(); err == nil && end > 0 {
		w.born = info.ModTime() // nobody keeps the time of birth; it is not older than this
	}
	return nil
}

// wholeLines returns where the last whole line of a file ends.
func wholeLines(f *os.File) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	block := make([]byte, 64<<10)
	for err == nil && end > 0 {
		part := block[:min(end, int64(len(block)))]
		if _, err := f.ReadAt(part, end-int64(len(part))); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return end - int64(len(part)) + int64(i) + 1, nil
		}
		end -= int64(len(part))
	}
	return 0, err
}

// asideFormat is the time in the name of a file that was put aside.
const asideFormat = "20060102T150405.000000Z"

// parts are the name before and after the time.
func (w *writer) parts() (before, after string) {
	after = filepath.Ext(w.settings.Path)
	return strings.TrimSuffix(filepath.Base(w.settings.Path), after) + "-", after
}

// rotate puts the file aside and removes the oldest that are too many.
func (w *writer) rotate() error {
	before, after := w.parts()
	folder := filepath.Dir(w.settings.Path)
	aside := filepath.Join(folder, before+w.now().UTC().Format(asideFormat)+after)
	if err := w.file.Close(); err != nil {
		return err
	}
	w.file = nil
	if err := w.root.Rename(w.settings.Path, aside); err != nil {
		return err
	}
	if w.settings.Rotate.Keep == 0 {
		return w.syncFolder()
	}
	entries, err := fs.ReadDir(w.root.FS(), filepath.ToSlash(folder))
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		middle := strings.TrimSuffix(strings.TrimPrefix(e.Name(), before), after)
		if _, err := time.Parse(asideFormat, middle); err == nil && e.Name() == before+middle+after {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names[:max(len(names)-w.settings.Rotate.Keep, 0)] {
		err = errors.Join(err, w.root.Remove(filepath.Join(folder, name)))
	}
	return errors.Join(err, w.syncFolder())
}

// syncFolder has the names in the file's folder on the disk.
func (w *writer) syncFolder() error {
	folder, err := w.root.Open(filepath.Dir(w.settings.Path))
	if err != nil {
		return err
	}
	return errors.Join(w.sync(folder), folder.Close())
}

// close closes the file. It is opened again when there is something to write.
func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drop()
}

func (w *writer) drop() error {
	var errs []error
	if w.file != nil {
		errs = append(errs, w.file.Close())
	}
	if w.root != nil {
		errs = append(errs, w.root.Close())
	}
	w.file, w.root = nil, nil
	return errors.Join(errs...)
}
