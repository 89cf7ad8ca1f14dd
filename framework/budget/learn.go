package budget

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/framework"
)

// Learn reads what a provider's answer says about its limits.
func (b *Budget) Learn(host string, status int, header http.Header) {
	now := b.now()
	limit, remaining, reset, known := readLimits(header, now)
	blocked := readBlocked(status, header, now)
	if !known && blocked == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.host(host, now)
	if l == nil {
		return
	}
	b.dirty = true
	if blocked > 0 {
		if until := now.Add(blocked); until.After(l.Blocked) {
			l.Blocked = until
		}
	}
	if !known {
		return
	}
	until := now.Add(reset)
	// Answers come out of order: within one window the least is the newest.
	const same = 2 * time.Second
	if d := until.Sub(l.Until); now.Before(l.Until) && d < same && d > -same {
		remaining = min(remaining, l.Remaining)
	}
	l.Limit, l.Remaining, l.Until = limit, remaining, until
}

// says reports that an answer tells something of limits.
func says(status int, header http.Header) bool {
	now := time.Now()
	_, _, _, known := readLimits(header, now)
	return known || readBlocked(status, header, now) > 0
}

// readBlocked reads for how long an answer forbids calls.
func readBlocked(status int, header http.Header, now time.Time) time.Duration {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == http.StatusForbidden {
		return framework.ParseRetryAfter(header.Get("Retry-After"), now)
	}
	return 0
}

// readLimits reads how many calls remain and for how long. An answer that names
// no end of its window says nothing.
func readLimits(h http.Header, now time.Time) (limit, remaining int, reset time.Duration, ok bool) {
	if limit, remaining, reset, ok = readDraft(h); ok {
		return limit, remaining, reset, true
	}
	for _, prefix := range []string{"Ratelimit-", "X-Ratelimit-", "X-Rate-Limit-"} {
		left, known := number(h.Get(prefix + "Remaining"))
		end, ends := number(h.Get(prefix + "Reset"))
		if !known || !ends {
			continue
		}
		most, _ := number(h.Get(prefix + "Limit"))
		return most, left, until(int64(end), now), true
	}
	return 0, 0, 0, false
}

// until reads a Reset: seconds from now, or seconds or milliseconds since 1970.
// Nobody has a window of thirty years.
func until(n int64, now time.Time) time.Duration {
	const epoch = 1_000_000_000
	switch {
	case n >= epoch*1000:
		return bounded(time.UnixMilli(n).Sub(now))
	case n >= epoch:
		return bounded(time.Unix(n, 0).Sub(now))
	}
	return bounded(time.Duration(min(n, 1_000_000)) * time.Second)
}

func bounded(d time.Duration) time.Duration { return min(max(d, 0), longestWait) }

// readDraft reads the RateLimit field: `"default";r=50;t=30` of the newer drafts
// (the policy with the fewest calls left decides), or `limit=100, remaining=50,
// reset=30` of the older.
func readDraft(h http.Header) (limit, remaining int, reset time.Duration, ok bool) {
	field := strings.Join(h.Values("Ratelimit"), ",")
	if field == "" {
		return 0, 0, 0, false
	}
	flat := map[string]int{}
	for policy := range strings.SplitSeq(field, ",") {
		values := map[string]int{}
		for part := range strings.SplitSeq(policy, ";") {
			name, value, found := strings.Cut(strings.TrimSpace(part), "=")
			if n, isNumber := number(value); found && isNumber {
				values[strings.ToLower(name)] = n
				flat[strings.ToLower(name)] = n
			}
		}
		r, hasR := values["r"]
		t, hasT := values["t"]
		if hasR && hasT && (!ok || r < remaining) {
			remaining, reset, ok = r, bounded(time.Duration(min(t, 1_000_000))*time.Second), true
		}
	}
	if ok {
		return 0, remaining, reset, true
	}
	remaining, hasRemaining := flat["remaining"]
	t, hasReset := flat["reset"]
	return flat["limit"], remaining, bounded(time.Duration(min(t, 1_000_000)) * time.Second), hasRemaining && hasReset
}

// number reads the first whole number of a field: some add a comment or a policy.
func number(text string) (int, bool) {
	text = strings.TrimSpace(text)
	end := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if end == 0 || end > 15 {
		return 0, false
	}
	n, err := strconv.Atoi(text[:end])
	return n, err == nil
}
