package sqlite

import (
	"database/sql/driver"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// rawConn is a connection of either driver. The writer does not use
// database/sql: it needs neither its pool nor its locks.
type rawConn interface {
	driver.Conn
	// Exec runs statements that are not prepared.
	Exec(query string, args []driver.Value) (driver.Result, error)
}

// Result codes of SQLite (https://www.sqlite.org/rescode.html) that are told apart.
const (
	codeBusy       = 5
	codeLocked     = 6
	codeTooBig     = 18
	codeConstraint = 19
	codeMismatch   = 20
	codeRange      = 25
)

// access says how a file is opened. Each driver spells it its own way.
type access struct {
	readOnly bool
	// queryOnly refuses every statement that changes a file, also a new one.
	queryOnly bool
	// busy is how long a statement waits for a lock.
	busy time.Duration
	// cacheKiB bounds the page cache; 0 leaves it.
	cacheKiB int
	// immediate makes transactions of database/sql take the write lock at once.
	immediate bool
}

// writing is how everything but readers opens the file.
var writing = access{busy: 5 * time.Second}

// dsn is the data source name of the file at path. Its characters must not be
// taken for the parameters of a URI.
func (a access) dsn(path string) string {
	mode := "rwc"
	if a.readOnly {
		mode = "ro"
	}
	params := append([]string{"mode=" + mode}, a.params()...)
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(params, "&")
}

// endTransaction rolls back, unless an error has done so by itself.
func (c *conn) endTransaction() error {
	_, err := c.raw.Exec("ROLLBACK", nil)
	if err != nil && strings.Contains(err.Error(), "no transaction is active") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}
