package runtime

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/intake"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
	"github.com/weirhq/weir/framework/store/groupcommit"
)

// maxSeries bounds the connection and stream labels; what comes later is
// counted under "other".
const maxSeries = 2000

// metrics counts what happens, for Prometheus.
type metrics struct {
	registry *prometheus.Registry

	runs       *prometheus.CounterVec
	runSeconds *prometheus.HistogramVec
	skipped    *prometheus.CounterVec
	deliveries *prometheus.CounterVec
	handling   *prometheus.HistogramVec
	// attempts and attempting are of sinks.
	attempts   *prometheus.CounterVec
	attempting *prometheus.HistogramVec

	mu     sync.Mutex
	series map[[2]string]bool
}

func newMetrics(r *Runtime) *metrics {
	stream := []string{"connection", "stream"}
	m := &metrics{
		registry: prometheus.NewRegistry(), series: map[[2]string]bool{},
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_runs_total", Help: "Runs that ended, by their state.",
		}, append(stream, "state")),
		runSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_run_seconds", Help: "How long runs took.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 8),
		}, stream),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ticks_skipped_total", Help: "Ticks that came while the stream was still running.",
		}, stream),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_deliveries_total", Help: "Webhook deliveries by endpoint and verdict.",
		}, []string{"connection", "endpoint", "verdict"}),
		handling: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_delivery_seconds", Help: "How long webhook deliveries took, from the first byte to the answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"connection", "endpoint"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_sink_attempts_total", Help: "Requests that sinks made, by outcome: delivered, retry, split, give_up, stop, disable.",
		}, []string{"connection", "outcome"}),
		attempting: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_sink_attempt_seconds", Help: "How long requests of sinks took, with their answer.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"connection"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "weir_build_info", Help: "The version of Weir, always 1.", ConstLabels: prometheus.Labels{"version": r.options.Version},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.runs, m.runSeconds, m.skipped, m.deliveries, m.handling, m.attempts, m.attempting, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&streamGauges{runtime: r}, &sinkGauges{runtime: r},
	)
	if disk, ok := r.store.(diskSpace); ok {
		m.registry.MustRegister(diskMetrics(disk)...)
	}
	if source, ok := r.store.(writerStats); ok {
		m.registry.MustRegister(writerMetrics(source)...)
	}
	return m
}

// label keeps the number of series within bounds.
func (m *metrics) label(connection, part string) (string, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{connection, part}
	if !m.series[key] {
		if len(m.series) >= maxSeries {
			return "other", "other"
		}
		m.series[key] = true
	}
	return connection, part
}

func (m *metrics) changed(c scheduler.Change) {
	connection, stream := m.label(c.Project+"/"+c.Connection, c.Stream)
	switch c.Kind {
	case scheduler.RunFinished:
		m.runs.WithLabelValues(connection, stream, string(c.State)).Inc()
		m.runSeconds.WithLabelValues(connection, stream).Observe(c.Took.Seconds())
		m.skipped.WithLabelValues(connection, stream).Add(float64(c.Skipped))
	case scheduler.RunStarted, scheduler.PageCommitted, scheduler.StreamChanged:
	}
}

func (m *metrics) delivered(o intake.Observation) {
	connection, endpoint := m.label(o.Project+"/"+o.Connection, o.Endpoint)
	m.deliveries.WithLabelValues(connection, endpoint, string(o.Verdict)).Inc()
	m.handling.WithLabelValues(connection, endpoint).Observe(o.Took.Seconds())
}

func (m *metrics) handler() http.Handler {
	options := promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}
	all := promhttp.HandlerFor(m.registry, options)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if project := api.CallerOf(r.Context()).Project; project != "" {
			promhttp.HandlerFor(m.of(project), options).ServeHTTP(w, r)
			return
		}
		all.ServeHTTP(w, r)
	})
}

// of gathers what the metrics say of one project. What they say of the process is
// about all.
func (m *metrics) of(project string) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := m.registry.Gather()
		var kept []*dto.MetricFamily
		for _, f := range families {
			f.Metric = slices.DeleteFunc(f.GetMetric(), func(one *dto.Metric) bool {
				return !slices.ContainsFunc(one.GetLabel(), func(l *dto.LabelPair) bool {
					return l.GetName() == "connection" && strings.HasPrefix(l.GetValue(), project+"/")
				})
			})
			if len(f.GetMetric()) > 0 {
				kept = append(kept, f)
			}
		}
		return kept, err //nolint:wrapcheck // the handler says what failed
	})
}

// writerStats is what a store tells of its writer.
type writerStats interface{ Stats() groupcommit.Stats }

// writerMetrics are the counts of the store's writer. Units over transactions is
// the mean size of a batch, seconds over transactions the mean time of a commit,
// of which the sync to disk is most.
func writerMetrics(source writerStats) []prometheus.Collector {
	counter := func(name, help string, value func(groupcommit.Stats) float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return value(source.Stats()) })
	}
	return []prometheus.Collector{
		counter("weir_commit_batches_total", "Transactions of the store's writer.", func(s groupcommit.Stats) float64 { return float64(s.Batches) }),
		counter("weir_commit_units_total", "Pages, deliveries and other units committed.", func(s groupcommit.Stats) float64 { return float64(s.Units) }),
		counter("weir_commit_bisected_total", "Transactions that had to be applied in parts.", func(s groupcommit.Stats) float64 { return float64(s.Bisected) }),
		counter("weir_commit_seconds_total", "Time spent in transactions, with their sync to disk.", func(s groupcommit.Stats) float64 { return s.Seconds }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_commit_queue", Help: "Units that wait for the store's writer."},
			func() float64 { return float64(source.Stats().Waiting) }),
	}
}

// diskSpace is what a store with a disk of its own tells of it.
type diskSpace interface {
	DiskSpace() (free, reserve uint64, err error)
}

// diskMetrics tell of the store's disk: below the reserve nothing is recorded.
func diskMetrics(disk diskSpace) []prometheus.Collector {
	gauge := func(name, help string, value func(free, reserve uint64) uint64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			free, reserve, err := disk.DiskSpace()
			if err != nil {
				return math.NaN()
			}
			return float64(value(free, reserve))
		})
	}
	return []prometheus.Collector{
		gauge("weir_disk_free_bytes", "Free room on the disk of the store.", func(free, _ uint64) uint64 { return free }),
		gauge("weir_disk_reserve_bytes", "Room that must be free: below it webhooks are refused and runs wait.", func(_, reserve uint64) uint64 { return reserve }),
	}
}

// streamGauges tells what the store keeps of each stream, when it is asked for:
// so events are counted under their own stream, whoever brought them, and the
// counts go on over a restart.
type streamGauges struct{ runtime *Runtime }

var (
	sinceSuccess = prometheus.NewDesc("weir_stream_seconds_since_success", "Seconds since the last success.", []string{"connection", "stream"}, nil)
	leftBehind   = prometheus.NewDesc("weir_handlers_abandoned", "Handlers that went on past their deadline, were left behind, and have not returned yet.", []string{"connection"}, nil)
	events       = prometheus.NewDesc("weir_events_total", "Events recorded.", []string{"connection", "stream"}, nil)
	duplicates   = prometheus.NewDesc("weir_duplicates_total", "Emissions that had been recorded before.", []string{"connection", "stream"}, nil)
	alarm        = prometheus.NewDesc("weir_stream_alarm", "1 while the data of a stream is not as it used to be.", []string{"connection", "stream", "kind"}, nil)
	failures     = prometheus.NewDesc("weir_stream_consecutive_failures", "Failed runs since the last success.", []string{"connection", "stream"}, nil)
)

// Describe names the gauges.
func (*streamGauges) Describe(out chan<- *prometheus.Desc) {
	out <- sinceSuccess
	out <- failures
	out <- alarm
	out <- leftBehind
}

// Collect asks every connection, and reads the status of every stream.
func (g *streamGauges) Collect(out chan<- prometheus.Metric) {
	connections := 0
	for _, c := range g.runtime.all() {
		if connections++; c.binding != nil && connections <= maxSeries {
			out <- prometheus.MustNewConstMetric(leftBehind, prometheus.GaugeValue, float64(c.binding.Abandoned()), c.Project+"/"+c.Name)
		}
	}
	ctx, cancel := statusContext()
	defer cancel()
	statuses, err := g.runtime.store.Statuses(ctx, "")
	if err != nil {
		g.runtime.log.Error("collect metrics", "err", err)
		return
	}
	states, err := g.runtime.store.States(ctx, "", store.AlarmStates)
	if err != nil {
		g.runtime.log.Error("collect metrics", "err", err)
		return
	}
	for i, s := range states {
		c, ok := g.runtime.find(s.ConnectionID)
		if stream, a, known := store.ReadAlarm(s); ok && known && i < maxSeries {
			out <- prometheus.MustNewConstMetric(alarm, prometheus.GaugeValue, 1, c.Project+"/"+c.Name, stream, a.Kind)
		}
	}
	now := time.Now()
	for i, s := range statuses {
		c, ok := g.runtime.find(s.ConnectionID)
		if !ok || i >= maxSeries {
			continue
		}
		name := c.Project + "/" + c.Name
		if !s.LastSuccessAt.IsZero() {
			out <- prometheus.MustNewConstMetric(sinceSuccess, prometheus.GaugeValue, now.Sub(s.LastSuccessAt).Seconds(), name, s.Stream)
		}
		out <- prometheus.MustNewConstMetric(events, prometheus.CounterValue, float64(s.Head), name, s.Stream)
		out <- prometheus.MustNewConstMetric(duplicates, prometheus.CounterValue, float64(s.Duplicates), name, s.Stream)
		out <- prometheus.MustNewConstMetric(failures, prometheus.GaugeValue, float64(s.ConsecutiveFailures), name, s.Stream)
	}
}

// statusContext bounds a read for metrics.
func statusContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 5*time.Second)
}
