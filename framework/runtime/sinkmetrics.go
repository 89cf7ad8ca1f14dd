package runtime

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirhq/weir/framework/delivery"
	"github.com/weirhq/weir/framework/store"
)

// attempted counts a request of a sink.
func (m *metrics) attempted(id delivery.Identity, a delivery.Recent) {
	connection, _ := m.label(id.Project+"/"+id.Connection, "")
	m.attempts.WithLabelValues(connection, a.Verdict.String()).Inc()
	m.attempting.WithLabelValues(connection).Observe(a.Took.Seconds())
}

// sinkGauges tells what the store keeps of each sink, when it is asked for.
type sinkGauges struct{ runtime *Runtime }

var (
	sinkStreams     = []string{"connection", "stream"}
	sinkLag         = prometheus.NewDesc("weir_sink_lag", "Events that a sink has not passed yet.", sinkStreams, nil)
	sinkParked      = prometheus.NewDesc("weir_sink_parked", "Events that wait for a retry of their own.", sinkStreams, nil)
	sinkDelivered   = prometheus.NewDesc("weir_sink_delivered_total", "Events delivered.", sinkStreams, nil)
	sinkGivenUp     = prometheus.NewDesc("weir_sink_given_up_total", "Events that became dead letters.", sinkStreams, nil)
	sinkDeadLetters = prometheus.NewDesc("weir_sink_dead_letters", "Dead letters that nobody has settled.", []string{"connection"}, nil)
	sinkState       = prometheus.NewDesc("weir_sink_state", "1 for the state that a sink is in.", []string{"connection", "state"}, nil)
	sinkBreaker     = prometheus.NewDesc("weir_sink_breaker_open", "1 while the endpoint of a sink is only probed.", []string{"connection"}, nil)
)

// Describe names the gauges.
func (*sinkGauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sinkLag, sinkParked, sinkDelivered, sinkGivenUp, sinkDeadLetters, sinkState, sinkBreaker} {
		out <- d
	}
}

// Collect reads the offsets and states of all sinks.
func (g *sinkGauges) Collect(out chan<- prometheus.Metric) {
	r := g.runtime
	if r.board == nil {
		return // it is still being built
	}
	ctx, cancel := statusContext()
	defer cancel()
	views, err := r.board.Sinks(ctx, "")
	if err != nil {
		r.log.Error("collect metrics", "err", err)
		return
	}
	if len(views) == 0 {
		return
	}
	names, own := map[string]string{}, map[string]string{}
	for i, v := range views {
		if i == maxSeries {
			break
		}
		name := v.Project + "/" + v.Connection
		own[v.ConnectionID] = name
		open := 0.0
		if v.BreakerUntil != nil {
			open = 1
		}
		out <- prometheus.MustNewConstMetric(sinkState, prometheus.GaugeValue, 1, name, v.State)
		out <- prometheus.MustNewConstMetric(sinkBreaker, prometheus.GaugeValue, open, name)
		out <- prometheus.MustNewConstMetric(sinkDeadLetters, prometheus.GaugeValue, float64(v.DeadLetters), name)
	}
	connections, err := r.store.Connections(ctx)
	if err != nil {
		r.log.Error("collect metrics", "err", err)
		return
	}
	for _, c := range connections {
		names[c.ID] = c.Name
	}
	statuses, err := r.store.Statuses(ctx, "")
	if err != nil {
		r.log.Error("collect metrics", "err", err)
		return
	}
	heads := map[store.Source]int64{}
	for _, s := range statuses {
		heads[store.Source{ConnectionID: s.ConnectionID, Stream: s.Stream}] = s.Head
	}
	offsets, err := r.store.Offsets(ctx, "")
	if err != nil {
		r.log.Error("collect metrics", "err", err)
		return
	}
	for i, o := range offsets {
		name, ok := own[o.ConnectionID]
		if !ok || i >= maxSeries {
			continue
		}
		stream := names[o.Source.ConnectionID] + "." + o.Stream
		out <- prometheus.MustNewConstMetric(sinkLag, prometheus.GaugeValue, float64(max(heads[o.Source]+1-o.Next, 0)), name, stream)
		out <- prometheus.MustNewConstMetric(sinkParked, prometheus.GaugeValue, float64(o.Parked), name, stream)
		out <- prometheus.MustNewConstMetric(sinkDelivered, prometheus.CounterValue, float64(o.Delivered), name, stream)
		out <- prometheus.MustNewConstMetric(sinkGivenUp, prometheus.CounterValue, float64(o.Dead), name, stream)
	}
}
