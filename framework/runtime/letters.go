package runtime

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/store"
)

// letters is what an operator may do with deliveries.
type letters struct{ runtime *Runtime }

var _ api.Deliveries = letters{}

const (
	// changeRows is how many deliveries are changed in one transaction.
	changeRows = 1000
	// discardedAge is how long the row of a discarded delivery says why.
	discardedAge = 30 * 24 * time.Hour
)

// StoredDelivery returns one stored delivery.
func (l letters) StoredDelivery(ctx context.Context, connectionID, id string) (store.StoredDelivery, error) {
	return l.runtime.store.StoredDelivery(ctx, connectionID, id)
}

// Redeliver lets the selected deliveries wait again, one every so often.
func (l letters) Redeliver(ctx context.Context, r store.DeliveryRange, every time.Duration) (total int, err error) {
	now := time.Now()
	for {
		n, err := l.runtime.store.Redeliver(ctx, r, now, total, every, changeRows)
		total += n
		if err != nil || n < changeRows {
			l.runtime.intake.Wake()
			return total, err
		}
	}
}

// Discard erases the selected deliveries.
func (l letters) Discard(ctx context.Context, r store.DeliveryRange, reason string) (total int, err error) {
	for {
		n, err := l.runtime.store.Discard(ctx, r, reason, time.Now().Add(discardedAge), changeRows)
		total += n
		if err != nil || n < changeRows {
			l.runtime.intake.Wake()
			return total, err
		}
	}
}

// Endpoints lists the webhook endpoints of a connection.
func (l letters) Endpoints(connectionID string) []string {
	c, ok := l.runtime.find(connectionID)
	if !ok {
		return nil
	}
	return slices.Sorted(maps.Keys(c.endpoints))
}

// Report returns what all processes that share the store know of an endpoint.
func (l letters) Report(ctx context.Context, connectionID, endpoint string) (intake.Report, bool, error) {
	report, ok := l.runtime.intake.Report(connectionID, endpoint)
	if !ok {
		return report, false, nil
	}
	others, peers, err := l.runtime.peerReports.of(ctx, [2]string{connectionID, endpoint}, func() ([]intake.Report, int, error) {
		return askPeers[intake.Report](ctx, l.runtime, command{Kind: kindReport, Connection: connectionID, Endpoint: endpoint})
	})
	for _, other := range others {
		report.Add(other)
	}
	report.Processes = 1 + peers
	return report, true, err
}

// ResumeEndpoint ends the quarantine of an endpoint at every process.
func (l letters) ResumeEndpoint(ctx context.Context, connectionID, endpoint string) (bool, error) {
	resumed, err := l.runtime.intake.Resume(connectionID, endpoint)
	if err != nil {
		return resumed, err
	}
	others, _, err := askPeers[bool](ctx, l.runtime, command{Kind: kindResumeEndpoint, Connection: connectionID, Endpoint: endpoint})
	l.runtime.peerReports.forget([2]string{connectionID, endpoint})
	return resumed || slices.Contains(others, true), err
}

// peerReports remembers for a moment what the other processes know: pages are
// read again and again while deliveries come in.
type peerReports struct {
	mu     sync.Mutex
	latest map[[2]string]*peerReport
}

type peerReport struct {
	mu      sync.Mutex
	at      time.Time
	reports []intake.Report
	peers   int
}

// peerReportAge is how long an answer is used again.
const peerReportAge = 2 * time.Second

// of returns the reports on an endpoint, asked for now or a moment ago. Who comes
// while they are asked for waits for the same answer.
func (p *peerReports) of(ctx context.Context, endpoint [2]string, ask func() ([]intake.Report, int, error)) ([]intake.Report, int, error) {
	p.mu.Lock()
	if p.latest == nil {
		p.latest = map[[2]string]*peerReport{}
	}
	e := p.latest[endpoint]
	if e == nil {
		e = &peerReport{}
		p.latest[endpoint] = e
	}
	p.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if age := time.Since(e.at); age < peerReportAge || ctx.Err() != nil {
		return e.reports, e.peers, nil
	}
	reports, peers, err := ask()
	if err != nil {
		return nil, peers, err
	}
	e.at, e.reports, e.peers = time.Now(), reports, peers
	return reports, peers, nil
}

func (p *peerReports) forget(endpoint [2]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.latest, endpoint)
}
