//go:build unix

package postgres

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// narrows returns the statements of a migration below which a process of the version before cannot
// go on: during a rolling restart it works on the newer schema. It may not miss anything, so what is
// not known to be harmless is returned: new tables and what is done to them, new indexes that refuse
// no row, and new columns that an INSERT may leave out.
func narrows(sql string) (found []string) {
	fresh := map[string]bool{}
	for statement := range strings.SplitSeq(regexp.MustCompile(`--[^\n]*`).ReplaceAllString(sql, ""), ";") {
		statement = strings.Join(strings.Fields(statement), " ")
		if m := regexp.MustCompile(`^CREATE TABLE (\w+) `).FindStringSubmatch(statement); m != nil {
			fresh[m[1]] = true
			continue
		}
		about := regexp.MustCompile(`^(?:CREATE UNIQUE INDEX \w+ ON|INSERT INTO|UPDATE|ALTER TABLE) (\w+) `).FindStringSubmatch(statement)
		switch {
		case statement == "", regexp.MustCompile(`^CREATE INDEX \w+ ON \w+ \(`).MatchString(statement):
		case about != nil && fresh[about[1]]:
		case !addsColumns(statement):
			found = append(found, statement)
		}
	}
	return found
}

// addsColumns says whether a statement does nothing but add columns that may be left out.
func addsColumns(statement string) bool {
	changes, ok := strings.CutPrefix(regexp.MustCompile(`^ALTER TABLE \w+ `).ReplaceAllString(statement, "! "), "! ")
	if !ok {
		return false
	}
	for change := range strings.SplitSeq(changes, ", ") {
		required := strings.Contains(change, "NOT NULL") && !strings.Contains(change, " DEFAULT ")
		if !strings.HasPrefix(change, "ADD COLUMN ") || required || regexp.MustCompile(`UNIQUE|CHECK|PRIMARY|GENERATED|REFERENCES`).MatchString(change) {
			return false
		}
	}
	return true
}

func TestMigrationsOnlyAdd(t *testing.T) {
	t.Parallel()
	// What changes rows that are there, and why a process of the version before can live with it.
	harmless := map[int][]string{
		// It fills a column that the version before neither reads nor writes.
		4: {"UPDATE stored_deliveries SET bytes = coalesce(octet_length(header), 0) + coalesce(octet_length(body), 0)"},
		// It fences the version before on purpose, which shares its store with nobody (see unshared).
		6: {"UPDATE leases SET epoch = epoch + 1, expires_at = '-infinity' WHERE shard = 0"},
	}
	list, err := readMigrations()
	require.NoError(t, err)
	for _, m := range list {
		if m.version == 1 {
			continue
		}
		for _, statement := range narrows(m.sql) {
			if !slices.Contains(harmless[m.version], statement) {
				t.Errorf("%s: the version before, which works on this schema during a rolling restart, may fail below\n\t%s\n"+
					"Add now and take away in a later version, or say here why it can live with it.", m.name, statement)
			}
		}
	}
}

func TestWhatAMigrationMayNotDoIsFound(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{
		"ALTER TABLE runs DROP COLUMN stack",
		"ALTER TABLE runs ADD COLUMN remark text NOT NULL",
		"ALTER TABLE runs ADD COLUMN a text, ADD COLUMN b text NOT NULL",
		"ALTER TABLE runs ADD COLUMN remark text UNIQUE",
		"ALTER TABLE runs RENAME COLUMN stack TO trace",
		"ALTER TABLE runs ADD CONSTRAINT positive CHECK (pages > 0)",
		"ALTER TABLE runs ALTER COLUMN pages SET NOT NULL",
		"CREATE UNIQUE INDEX runs_once ON runs (stream)",
		"DROP INDEX runs_by_id",
		"DELETE FROM runs",
		"UPDATE runs SET pages = 0",
		"TRUNCATE runs",
		"DO $$ BEGIN DROP TABLE runs; END $$",
	} {
		require.NotEmpty(t, narrows("-- Something.\n"+statement+";\n"), statement)
	}
	require.Empty(t, narrows(`
		-- A table; with
		CREATE TABLE notes (id text PRIMARY KEY, note text NOT NULL); -- rows
		INSERT INTO notes (id, note) VALUES ('a', 'b');
		CREATE UNIQUE INDEX notes_once ON notes (note);
		ALTER TABLE runs ADD COLUMN remark text NOT NULL DEFAULT '', ADD COLUMN seen timestamptz;
		CREATE INDEX runs_by_remark ON runs (remark) WHERE remark <> '';`))
}
