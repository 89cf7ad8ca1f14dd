package schedule_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWordsAreThoseOfTheDocumentedTable(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	rows := 0
	for line := range strings.Lines(string(source)) {
		spec, words, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "//"), " -> ")
		if !ok {
			continue
		}
		rows++
		require.Equal(t, words, must(t, strings.TrimSpace(spec)).Words(), spec)
	}
	require.Greater(t, rows, 30)
}

func TestWordsFallBackToTheFields(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ spec, words string }{
		{"TZ=Australia/Lord_Howe */20 * * * *", "every hour at minutes 0, 20 and 40 (Australia/Lord_Howe)"},
		{"TZ=Europe/Berlin */15 * * * *", "every 15 minutes"},
		{"TZ=Europe/Berlin */15 9-16 * * *", "every 15 minutes from 09:00 to 16:45 Europe/Berlin"},
		{"TZ=Europe/Berlin */20 9-10 * * *", "every 20 minutes from 09:00 to 10:40 Europe/Berlin"},
		{"TZ=Europe/Berlin 0 9-17 * * 1-5", "every hour from 09:00 to 17:00 Europe/Berlin, Monday to Friday"},
		{"TZ=Europe/Berlin 0 * * * *", "every hour"},
		{"TZ=Europe/Berlin 5 * * * *", "every hour at minute 5 (Europe/Berlin)"},
		{"TZ=Australia/Lord_Howe */20 9-10 * * *", "every day at 09:00, 09:20, 09:40, 10:00, 10:20 and 10:40 Australia/Lord_Howe"},
		{"TZ=Australia/Lord_Howe 0 1-3 * * *", "every day at 01:00, 02:00 and 03:00 Australia/Lord_Howe"},
		{"TZ=Australia/Lord_Howe 0 * * * *", "every hour at minute 0 (Australia/Lord_Howe)"},
		{"*/45 9-17 * * 1", "every Monday at minutes 0 and 45 of hours 9 to 17 UTC"},
		{"* * 1 * *", "every minute on day 1 of every month (UTC)"},
		{"*/5 * 13 * 5", "every 5 minutes on day 13 of every month, and also every Friday (UTC)"},
		{"0 12 13 6 5", "on day 13 of June, and also every Friday in June, at 12:00 UTC"},
		{"0 0 1-31 * 1", "every day at 00:00 UTC"},
		{"0 0 1 * 0-6", "every day at 00:00 UTC"},
		{"0 0 1 * */1", "on day 1 of every month at 00:00 UTC"},
		{"0 0 31 4,5 *", "on day 31 of May at 00:00 UTC"},
		{"0 22,23,0,1 * * *", "every day at 00:00, 01:00, 22:00 and 23:00 UTC"},
		{"0 * * * fri,sat,sun", "every hour, Friday to Sunday (UTC)"},
		{"0 * * 1 *", "every hour in January (UTC)"},
		{"0 */6 * * 1", "every Monday at 00:00, 06:00, 12:00 and 18:00 UTC"},
		{"@every 24h", "every 24 hours"},
		{"@every 1m", "every minute"},
		{"@every 1s", "every second"},
		{"@every 25h1m1s", "every 25 hours 1 minute 1 second"},
	} {
		require.Equal(t, row.words, must(t, row.spec).Words(), row.spec)
	}
}
