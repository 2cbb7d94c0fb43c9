package locust

import (
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// FromRecording returns the statistics that a recording's client figures are, for the table of
// statistics, console tables and the failures. Counts, sums, maxima and bytes are exact, other
// response times have the three digits of the histograms. There is no history in a recording.
func FromRecording(r *recording.Recording) *Stats {
	start := r.Window.Start
	s := NewStats(nil, start)
	last := unix(start.Add(time.Duration(r.Window.Seconds * float64(time.Second))))
	for _, e := range r.Endpoints {
		if e.Client == nil {
			continue
		}
		method, _, _ := strings.Cut(e.Endpoint, " ")
		for _, t := range e.Client.Tasks {
			x := newEntry(method, t.Name, unix(start))
			for _, into := range []*Entry{x, s.Total} {
				into.addTask(&t, last)
			}
			s.entries[key{t.Name, method}] = x
			s.order = append(s.order, x)
		}
		for _, f := range e.Client.Errors {
			_, path, _ := strings.Cut(e.Endpoint, " ")
			n := &Failure{Method: method, Name: path, Error: f.Error, short: f.Error, Occurrences: f.Count, key: e.Endpoint + f.Error}
			s.errors[n.key] = n
			s.reports = append(s.reports, n)
		}
	}
	return s
}

func (e *Entry) addTask(t *recording.Task, last float64) {
	e.Requests += t.Requests
	e.Failures += t.Failures + t.Limited
	e.TotalTime += t.Service.Sum * 1e3
	e.ContentLength += t.Bytes
	e.Max = max(e.Max, t.Service.Max*1e3)
	e.last = last
	for i, b := range t.Service.Bars() {
		ms := min(b.Upper, t.Service.Max) * 1e3
		if i == 0 && (!e.hasMin || ms < e.Min) {
			e.Min, e.hasMin = ms, true
		}
		e.times[bucket(ms)] += b.Count
	}
}

// WriteMerged writes PREFIX_stats.csv, _failures.csv (with the endpoint for the name, and without
// the instants, which a recording has not) and _exceptions.csv.
func (s *Stats) WriteMerged(prefix string) error {
	for _, f := range []struct {
		suffix string
		text   []byte
	}{{"_stats.csv", s.CSV()}, {"_failures.csv", s.FailuresCSV()}, {"_exceptions.csv", ExceptionsCSV()}} {
		if err := WriteFile(prefix+f.suffix, f.text); err != nil {
			return err
		}
	}
	return nil
}
