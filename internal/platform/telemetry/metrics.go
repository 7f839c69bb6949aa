package telemetry

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the registry of one process. Every label comes from a closed list (routes of
// the table, methods, statuses, names in our code); none from a request.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	outcomes *prometheus.CounterVec
	cells    sync.Map // cell{} → *series: saves the label lookups on the hot path
}

type cell struct {
	method, route string
	status        int
}

type series struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

// NewMetrics returns a registry with the Go runtime's and the process's own metrics.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signet_http_requests_total", Help: "Requests answered, by route pattern.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "signet_http_request_duration_seconds", Help: "Time to answer, by route pattern.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signet_outcomes_total", Help: "What happened, by kind and result.",
		}, []string{"kind", "result"}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.outcomes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ObserveHTTP counts one answered request. Methods outside the usual ones count as OTHER.
func (m *Metrics) ObserveHTTP(method, route string, status int, d time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "OTHER"
	}
	key := cell{method, route, status}
	v, ok := m.cells.Load(key)
	if !ok {
		v, _ = m.cells.LoadOrStore(key, &series{
			m.requests.WithLabelValues(method, route, strconv.Itoa(status)), m.duration.WithLabelValues(route),
		})
	}
	s := v.(*series) //nolint:forcetypeassert // the map holds nothing else
	s.requests.Inc()
	s.duration.Observe(d.Seconds())
}

// Outcome counts one thing that happened; both labels are names in our code.
func (m *Metrics) Outcome(kind, result string) { m.outcomes.WithLabelValues(kind, result).Inc() }

// Gauge publishes a value that fn reads at every scrape.
func (m *Metrics) Gauge(name, help string, fn func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, fn))
}

// Counter publishes a count that fn reads at every scrape.
func (m *Metrics) Counter(name, help string, fn func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, fn))
}

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 5 * time.Second})
}
