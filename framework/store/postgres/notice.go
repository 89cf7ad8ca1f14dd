package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A COMMIT that is canceled while it waits for a synchronous standby is answered
// with success and a warning: it is on the disk of this server, and perhaps nowhere
// else. The warning has no code of its own and is in the language of the server, so
// any warning below a COMMIT leaves its outcome open.

// errUnreplicated says that a commit may not be on the synchronous standby.
var errUnreplicated = errors.New("the server warned below COMMIT: it may have given up waiting for its synchronous standby")

// warned is where a connection notes that the server has warned.
const warned = "weir: warned"

// heed notes warnings.
func heed(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warned] = true
	}
}

// forgive forgets the warnings so far.
func forgive(conn *pgx.Conn) { delete(conn.PgConn().CustomData(), warned) }

// replicated is nil when the server has not warned since forgive.
func replicated(conn *pgx.Conn) error {
	if _, is := conn.PgConn().CustomData()[warned]; is {
		return errUnreplicated
	}
	return nil
}
