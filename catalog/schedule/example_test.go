package schedule_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/catalog/schedule"
)

func ExampleParse() {
	s, err := schedule.Parse("*/15 * * * *")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Words(), "by", s.Zone())
	fmt.Println(s.Next(time.Date(2026, 11, 22, 9, 50, 0, 0, time.UTC)))
	// Output:
	// every 15 minutes by UTC
	// 2026-11-22 10:00:00 +0000 UTC
}

func ExampleParse_refused() {
	_, err := schedule.Parse("TZ=UTC 0 0 30 2 *")
	if p, ok := errors.AsType[*schedule.Problem](err); ok {
		fmt.Println(p.Rule)
		fmt.Println(p.Message)
	}
	// Output:
	// SC111
	// schedule never fires: no day 30 exists in February; choose a day that the month has
}

func ExampleCheck() {
	for _, p := range schedule.Check("*/45 6 * * *") {
		fmt.Println(p.Severity, p.Rule, p.Fix)
	}
	// Output:
	// warning SC113 */30 6 * * *
	// warning SC116 TZ=UTC */45 6 * * *
}

func ExampleSchedule_Words() {
	for _, spec := range []string{"5 * * * *", "30 2 * * 1", "*/10 9-17 * * mon-fri", "0 0 1 1,7 *", "@every 10s"} {
		s, err := schedule.Parse(spec)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.Words())
	}
	// Output:
	// every hour at minute 5
	// every Monday at 02:30 UTC
	// every 10 minutes from 09:00 to 17:50 UTC, Monday to Friday
	// on day 1 of January and July at 00:00 UTC
	// every 10 seconds
}

func ExampleSchedule_NextN() {
	s, err := schedule.Parse("TZ=Europe/Berlin 30 2 * * *")
	if err != nil {
		fmt.Println(err)
		return
	}
	// Berlin puts its clocks back on 25 October: 02:30 comes twice.
	for _, t := range s.NextN(time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), 3) {
		fmt.Println(t.Format(time.RFC3339))
	}
	// Output:
	// 2026-10-25T00:30:00Z
	// 2026-10-25T01:30:00Z
	// 2026-10-26T01:30:00Z
}

func ExampleSchedule_Spread() {
	s, err := schedule.Parse("@every 10s")
	if err != nil {
		fmt.Println(err)
		return
	}
	last := time.Date(2026, 11, 22, 9, 50, 0, 0, time.UTC)
	due := s.Next(last).Add(s.Spread("demo.customers", last))
	fmt.Println(due.Before(last.Add(11*time.Second)), s.Interval(last))
	// Output: true 10s
}
