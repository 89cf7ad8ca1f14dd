package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirhq/weir/framework/config"
	"github.com/weirhq/weir/framework/store/open"
	"github.com/weirhq/weir/framework/store/postgres"
)

func (d *doctor) store(ctx context.Context, c *config.File) {
	p, err := open.Inspect(ctx, c.Store, c.DataDir)
	d.disk(c.DataDir, p.Folder == c.DataDir)
	if p.Folder != "" && p.Folder != c.DataDir {
		d.disk(p.Folder, true)
	}
	switch {
	case err != nil && p.Folder != "":
		d.add("store", "error", "let this user read and write the folder; if SQLite itself says so, the file is damaged: restore a backup with weir restore", "SQLite in %s: %v", p.Folder, err)
	case err != nil:
		d.add("store", "error", "start the database, or correct the store's address", "%v", err)
	case p.Database == nil:
		d.file(p)
	default:
		d.database(p.Database)
		d.direct(ctx, c)
	}
}

// disk judges by the rule of the store itself, which is what refuses webhooks.
func (d *doctor) disk(folder string, store bool) {
	for { // a folder that is not there yet will lie in its parent
		if _, err := os.Stat(folder); err == nil || folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	space, err := d.space(folder)
	free, reserve := space.Free>>20, space.Reserve()>>20
	switch {
	case err != nil:
		d.add("disk", "skipped", "", "free space of %s: %v", folder, err)
		return
	case store && space.Low():
		d.add("disk", "error", "make room there, shorten the retention or move the data folder; it goes on by itself", "%s has %d MiB free and %d MiB must be: webhooks are refused and runs wait", folder, free, reserve)
	case space.Free < 2*space.Reserve():
		d.add("disk", "warning", "make room there, shorten the retention or move the data folder", "%s has %d MiB free; below %d MiB a store on it takes nothing more", folder, free, reserve)
	default:
		d.add("disk", "ok", "", "%s has %d MiB free; %d MiB must be", folder, free, reserve)
	}
	probe, err := os.CreateTemp(folder, ".weir-doctor-")
	if err != nil {
		d.add("disk", "error", "give this user the right to write there", "%s cannot be written: %v", folder, err)
		return
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
}

// database tells of a PostgreSQL store.
func (d *doctor) database(db *postgres.Condition) {
	switch {
	case db.ReadOnly:
		d.add("store", "error", "name all hosts of the cluster in the URL, with target_session_attrs=read-write", "PostgreSQL: this server is a standby and cannot be written")
	case db.Schema > db.Known:
		d.add("store", "error", "run the newer Weir", "PostgreSQL: the schema has version %d, this Weir knows up to %d", db.Schema, db.Known)
	default:
		d.add("store", "ok", "", "PostgreSQL: schema %d of %d, %s round trip", db.Schema, db.Known, db.RoundTrip.Round(time.Microsecond*100))
	}
	if !db.Fsync {
		d.add("store", "error", "set fsync = on and full_page_writes = on in postgresql.conf", "PostgreSQL: fsync or full_page_writes is off: a crash of the server's machine loses what was acknowledged, or damages the database")
	}
	if skew := db.Skew.Abs() - db.RoundTrip/2; skew > skewAllowed {
		d.add("clock", "error", "let both machines follow a time server (chrony, systemd-timesyncd)", "the database's clock differs from this machine's by %s", db.Skew.Round(time.Millisecond))
	} else {
		d.add("clock", "ok", "", "the database's clock differs by %s", db.Skew.Round(time.Millisecond))
	}
	switch {
	case db.Synchronous > 0:
		d.add("standby", "ok", "", "%d of %d standbys are synchronous", db.Synchronous, db.Standbys)
	case db.Standbys > 0:
		d.add("standby", "warning", "set synchronous_standby_names, or accept that a failover may lose the last commits", "%d standbys, none of them synchronous", db.Standbys)
	default:
		d.add("standby", "warning", "add a synchronous standby, or accept that the loss of this server loses what came after the last backup", "the database has no standby that this user can see")
	}
}

// direct looks whether the second address leads to the same database.
func (d *doctor) direct(ctx context.Context, c *config.File) {
	if c.StoreDirect == "" {
		return
	}
	if _, err := open.Inspect(ctx, c.StoreDirect, c.DataDir); err != nil {
		d.add("store", "warning", "correct store_direct, or leave it out: sinks then wake a second later", "store_direct: %v", err)
		return
	}
	d.add("store", "ok", "", "store_direct answers")
}

// file tells of a SQLite store.
func (d *doctor) file(p open.Place) {
	f := p.File
	d.add("clock", "ok", "", "SQLite goes by this machine's clock")
	switch {
	case !f.Exists:
		d.add("store", "ok", "", "SQLite in %s, which the first start makes", p.Folder)
		return
	case f.InUse:
		d.add("store", "skipped", "", "SQLite in %s is in use; its file is looked at when nobody works on it", p.Folder)
	case f.Schema > f.Known:
		d.add("store", "error", "run the newer Weir, or restore a backup made by this one", "SQLite in %s: the schema has version %d, this Weir knows up to %d", p.Folder, f.Schema, f.Known)
	case len(f.Faults) > 0:
		d.add("store", "error", "restore the last backup with weir restore, and look at the disk", "SQLite in %s is damaged: %s", p.Folder, strings.Join(f.Faults, "; "))
	case f.Unchecked:
		d.add("store", "skipped", "", "SQLite in %s: schema %d of %d, %d MiB; the check of its pages took too long", p.Folder, f.Schema, f.Known, f.Bytes>>20)
	default:
		d.add("store", "ok", "", "SQLite in %s: schema %d of %d, every page is sound, %d MiB, %d MiB of them free", p.Folder, f.Schema, f.Known, f.Bytes>>20, f.Free>>20)
	}
	d.add("standby", "skipped", "", "SQLite has none; make backups with weir backup")
}
