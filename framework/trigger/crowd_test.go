package trigger

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
)

// TestACrowdOfCallersHearsOfProgressAtOnce opens 1,000 streams, each on a run of its
// own, and measures how old a report is when its caller has it. With
// WEIR_TRIGGER_REPORT=1 it prints the figures; a loaded machine does not fail it.
func TestACrowdOfCallersHearsOfProgressAtOnce(t *testing.T) {
	t.Parallel()
	if os.Getenv("WEIR_TEST_ALL") == "" && os.Getenv("WEIR_TRIGGER_REPORT") == "" {
		return // a thousand connections: make test-all does that
	}
	const crowd, rounds = 1000, 5
	b := setup(t, nil)
	all, rounds_ := make(chan struct{}), make([]chan struct{}, rounds)
	for i := range rounds_ {
		rounds_[i] = make(chan struct{})
	}
	b.do = func(_ context.Context, _ Request, progress framework.Progress) ([]byte, error) {
		<-all
		for i, round := range rounds_ {
			<-round
			progress(10*(i+1), strconv.FormatInt(time.Now().UnixNano(), 10))
		}
		return []byte("1"), nil
	}
	var mu sync.Mutex
	ages := make([][]time.Duration, rounds)
	var open, heard, work sync.WaitGroup
	open.Add(crowd)
	transport := &http.Transport{MaxIdleConnsPerHost: crowd}
	client := &http.Client{Transport: transport}
	for range crowd {
		work.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.url+long+"/hook", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			a, err := client.Do(r)
			if err != nil {
				t.Error(err)
				open.Done()
				return
			}
			defer func() { _ = a.Body.Close() }()
			lines := bufio.NewScanner(a.Body)
			n := -1
			for lines.Scan() {
				data, ok := strings.CutPrefix(lines.Text(), "data: ")
				var m message
				if !ok || json.Unmarshal([]byte(data), &m) != nil || m.Type != "progress" {
					continue
				}
				if n++; n == 0 {
					open.Done()
					continue
				}
				sent, _ := strconv.ParseInt(m.Message, 10, 64)
				mu.Lock()
				ages[n-1] = append(ages[n-1], time.Duration(time.Now().UnixNano()-sent))
				mu.Unlock()
				heard.Done()
			}
		})
	}
	open.Wait()
	close(all)
	for _, round := range rounds_ {
		heard.Add(crowd)
		close(round)
		heard.Wait()
	}
	work.Wait()
	transport.CloseIdleConnections()
	for i := range ages {
		require.Len(t, ages[i], crowd)
		slices.Sort(ages[i])
		t.Logf("round %d: 1,000 callers heard of their progress after p50 %s, p99 %s, at most %s", i+1,
			ages[i][crowd/2].Round(time.Millisecond), ages[i][crowd*99/100].Round(time.Millisecond), ages[i][crowd-1].Round(time.Millisecond))
	}
}
