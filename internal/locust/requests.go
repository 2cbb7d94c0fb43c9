package locust

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/scenario"
)

// maxRows bounds the tasks and the failures of GET /stats/requests, as in Locust.
const maxRows = 500

// number is a number in Python's spelling: 0 is an int, 0.0 a float.
type number = json.Number

// Float is a float in Python's spelling.
func Float(f float64) json.Number { return number(pyFloat(f)) }

// floatOr0 is a rate that Locust gives as the int 0 before the first request.
func (s *Stats) floatOr0(f float64) number {
	if s.Total.last == 0 {
		return "0"
	}
	return Float(f)
}

// requestsAnswer is the answer of GET /stats/requests; its fields stand in the order of Flask's.
type requestsAnswer struct {
	CurrentFailPerSec number          `json:"current_fail_per_sec"`
	CurrentPercentile map[string]*int `json:"current_response_time_percentiles"`
	CurrentRPS        number          `json:"current_rps"`
	Errors            []errorAnswer   `json:"errors"`
	FailRatio         number          `json:"fail_ratio"`
	State             string          `json:"state"`
	Stats             []entryAnswer   `json:"stats"`
	TotalFailPerSec   number          `json:"total_fail_per_sec"`
	TotalRPS          number          `json:"total_rps"`
	UserCount         int             `json:"user_count"`
}

type errorAnswer struct {
	Error       string `json:"error"`
	FirstSeen   number `json:"first_seen"`
	LastSeen    number `json:"last_seen"`
	Method      string `json:"method"`
	Name        string `json:"name"`
	Occurrences int64  `json:"occurrences"`
}

type entryAnswer struct {
	AvgContentLength  number `json:"avg_content_length"`
	AvgResponseTime   number `json:"avg_response_time"`
	CurrentFailPerSec number `json:"current_fail_per_sec"`
	CurrentRPS        number `json:"current_rps"`
	Max               number `json:"max_response_time"`
	Median            number `json:"median_response_time"`
	Method            string `json:"method"`
	Min               number `json:"min_response_time"`
	Name              string `json:"name"`
	Failures          int64  `json:"num_failures"`
	Requests          int64  `json:"num_requests"`
	P95               int    `json:"response_time_percentile_0.95"`
	P99               int    `json:"response_time_percentile_0.99"`
	TotalFailPerSec   number `json:"total_fail_per_sec"`
	TotalRPS          number `json:"total_rps"`
}

// RequestsJSON is Locust's answer to GET /stats/requests; state is one of Locust's words.
func (s *Stats) RequestsJSON(state string, now time.Time) ([]byte, error) {
	t := s.Total
	a := requestsAnswer{
		CurrentFailPerSec: s.floatOr0(s.currentRate(t.failPerSecond)), CurrentRPS: s.floatOr0(s.currentRate(t.perSecond)),
		FailRatio: Float(t.failRatio()), State: state, UserCount: s.Users, Errors: []errorAnswer{},
		TotalFailPerSec: Float(s.perSecond(t.Failures)), TotalRPS: Float(s.perSecond(t.Requests)),
		CurrentPercentile: map[string]*int{},
	}
	for _, p := range []float64{.5, .95} {
		name := fmt.Sprint("response_time_percentile_", p)
		a.CurrentPercentile[name] = nil
		if ms, known := t.current(now.Unix(), p); known {
			a.CurrentPercentile[name] = &ms
		}
	}
	entries := s.Entries()
	for _, e := range append(entries[:min(len(entries), maxRows)], t) { // a slice of our own
		a.Stats = append(a.Stats, s.entryAnswer(e))
	}
	for _, f := range s.reports[:min(len(s.reports), maxRows)] {
		a.Errors = append(a.Errors, errorAnswer{f.Error, Float(f.First), Float(f.Last), f.Method, f.Name, f.Occurrences})
	}
	return json.MarshalIndent(a, "", "  ")
}

func (s *Stats) entryAnswer(e *Entry) entryAnswer {
	a := entryAnswer{
		AvgContentLength: "0", AvgResponseTime: Float(e.Average()), Min: "0",
		CurrentFailPerSec: s.floatOr0(s.currentRate(e.failPerSecond)), CurrentRPS: s.floatOr0(s.currentRate(e.perSecond)),
		Max: Float(float64(properRound(e.Max))), Median: number(e.medianText()), Method: e.Method, Name: e.Name,
		Failures: e.Failures, Requests: e.Requests, P95: e.Percentile(.95), P99: e.Percentile(.99),
		TotalFailPerSec: Float(s.perSecond(e.Failures)), TotalRPS: Float(s.perSecond(e.Requests)),
	}
	if e.Requests > 0 {
		a.AvgContentLength = Float(e.averageLength())
	}
	if e.hasMin {
		a.Min = Float(float64(properRound(e.Min)))
	}
	return a
}

func (e *Entry) failRatio() float64 {
	if e.Requests == 0 {
		return 0
	}
	return float64(e.Failures) / float64(e.Requests)
}

// Start returns when the statistics began.
func (s *Stats) Start() time.Time { return time.UnixMicro(int64(s.Total.start * 1e6)) }

// Reports returns the failures in the order of their first occurrence.
func (s *Stats) Reports() []*Failure { return s.reports }

// Clear forgets everything, for a run that starts at start.
func (s *Stats) Clear(tasks []scenario.Task, start time.Time) { *s = *NewStats(tasks, start) }

// Reset implements load.Resetter: the tasks stay, with nothing counted, as in Locust.
func (s *Stats) Reset(p load.Progress) {
	now := unix(p.Start.Add(p.Elapsed))
	s.Total = newEntry("", "Aggregated", now)
	for i, e := range s.order {
		s.order[i] = newEntry(e.Method, e.Name, now)
		s.entries[key{e.Name, e.Method}] = s.order[i]
	}
	s.errors, s.reports, s.History = map[string]*Failure{}, nil, nil
	s.recent, s.shown, s.since = s.recent[:0], 0, p.Elapsed.Seconds()
}

// Idle says that nothing runs at the moment now.
func (s *Stats) Idle(now time.Time) { s.now, s.Users = now, 0 }
