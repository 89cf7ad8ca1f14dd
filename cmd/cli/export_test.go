package cli

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/weirhq/weir/framework/store/postgres"
	"github.com/weirhq/weir/framework/store/sqlite"
)

// Plain returns what a terminal gets of parts that are written one by one.
func Plain(parts ...string) string {
	var b bytes.Buffer
	w := &plainWriter{out: &b}
	for _, p := range parts {
		_, _ = w.Write([]byte(p))
	}
	w.flush()
	return b.String()
}

// DoctorDatabase is what the doctor says of a database.
func DoctorDatabase(c postgres.Condition) string {
	d := newDoctor(nil)
	d.database(&c)
	return d.text()
}

// DoctorDisk is what it says of a disk.
func DoctorDisk(folder string, space sqlite.Space, store bool) string {
	d := newDoctor(nil)
	d.space = func(string) (sqlite.Space, error) { return space, nil }
	d.disk(folder, store)
	return d.text()
}

func (d *doctor) text() string {
	var b strings.Builder
	for _, f := range d.findings {
		_, _ = fmt.Fprintf(&b, "%s %s: %s -> %s\n", f.Level, f.Check, f.Detail, f.Do)
	}
	return b.String()
}
