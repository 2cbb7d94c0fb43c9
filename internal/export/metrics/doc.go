// Package metrics turns finished facts into Prometheus metrics.
//
// In: finished requests and calls of room request, and the latest state of pools, memory,
// backends, losses, probes and overhead, handed over by setters. Out: an http.Handler that
// serves /metrics, and Families, the catalogue of every name it can export, which the
// dashboards are tested against.
//
// It never measures, never keeps a request, and never lets the wire decide how many series
// there are: every label value comes from a closed or a bounded set (see labels.go), and no
// address or id becomes a label.
package metrics
