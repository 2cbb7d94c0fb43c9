package locust

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/scenario"
)

// Stats adds samples up the way Locust does. It is a load.Sink; not safe for concurrent use.
type Stats struct {
	Total   *Entry
	History []Moment
	Users   int

	tasks   []scenario.Task
	entries map[key]*Entry
	order   []*Entry // by first request
	errors  map[string]*Failure
	reports []*Failure // by first occurrence
	start   time.Time
	now     time.Time
	recent  []float64 // response times in ms since the last moment
	shown   int64     // failures until then
	since   float64   // seconds from the start to the last moment
}

type key struct{ name, method string }

// Failure is one row of the failure report.
type Failure struct {
	Method, Name, Error string
	Occurrences         int64
	First, Last         float64 // Unix seconds
	key, short          string
}

// Moment is one point of the HTML page's charts: the time since the point before.
type Moment struct {
	Seconds                float64 // since the start
	RPS, FailuresPerSecond float64
	P50, P95               float64 // ms, service clock; NaN when nothing ended
	Users                  int
}

// momentsAtMost is how many points a chart of a run with a known length has.
const momentsAtMost = 300

var (
	_ load.Sink     = (*Stats)(nil)
	_ load.Resetter = (*Stats)(nil)
)

// NewStats returns empty statistics of a run that starts now.
func NewStats(tasks []scenario.Task, start time.Time) *Stats {
	return &Stats{
		Total: newEntry("", "Aggregated", unix(start)), tasks: tasks, start: start, now: start,
		entries: map[key]*Entry{}, errors: map[string]*Failure{},
	}
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// Add implements load.Sink.
func (s *Stats) Add(samples []load.Sample) {
	for i := range samples {
		x := &samples[i]
		task := &s.tasks[x.Task]
		at := unix(s.start.Add(x.End))
		s.log(task.Method, task.Name, at, x.Service().Seconds()*1000, x.Bytes)
		if x.Failure.Failed() {
			s.logFailure(task.Method, task.Name, at, x.Failure)
		}
	}
}

// Tick implements load.Sink.
func (s *Stats) Tick(p load.Progress) {
	s.now, s.Users = p.Start.Add(p.Elapsed), p.Users
	// The last tick of a run comes right after another one; a point for it would be noise.
	if passed := p.Elapsed.Seconds() - s.since; passed >= max(0.5, p.Total.Seconds()/momentsAtMost) || len(s.History) == 0 {
		s.History = append(s.History, s.moment(p.Elapsed.Seconds(), passed))
		s.since = p.Elapsed.Seconds()
	}
}

func (s *Stats) moment(at, passed float64) Moment {
	m := Moment{Seconds: at, Users: s.Users, P50: math.NaN(), P95: math.NaN()}
	if n := len(s.recent); n > 0 {
		slices.Sort(s.recent)
		m.P50, m.P95 = s.recent[(n-1)/2], s.recent[(n-1)*95/100]
	}
	if passed > 0 {
		m.RPS, m.FailuresPerSecond = float64(len(s.recent))/passed, float64(s.Total.Failures-s.shown)/passed
	}
	s.recent, s.shown = s.recent[:0], s.Total.Failures
	return m
}

func (s *Stats) log(method, name string, at, ms float64, length int64) {
	e, ok := s.entries[key{name, method}]
	if !ok {
		e = newEntry(method, name, at)
		s.entries[key{name, method}] = e
		s.order = append(s.order, e)
	}
	s.recent = append(s.recent, ms)
	s.Total.log(at, ms, length)
	e.log(at, ms, length)
}

func (s *Stats) logFailure(method, name string, at float64, failure load.Failure) {
	text := errorText(failure, name)
	s.Total.fail(at)
	s.entries[key{name, method}].fail(at)
	sum := sha256.Sum256([]byte(method + "." + name + "." + pyRepr(text)))
	id := hex.EncodeToString(sum[:])
	f, ok := s.errors[id]
	if !ok {
		f = &Failure{Method: method, Name: name, Error: text, short: shortText(failure, name), First: at, key: id}
		s.errors[id] = f
		s.reports = append(s.reports, f)
	}
	f.Occurrences++
	f.Last = at
}

// Entries returns the tasks that have requests, in Locust's order: by name, then method.
func (s *Stats) Entries() []*Entry {
	return slices.SortedFunc(maps.Values(s.entries), func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Method, b.Method))
	})
}

// withTotal is Entries and the total.
func (s *Stats) withTotal() []*Entry { return append(s.Entries(), s.Total) }

// Failures returns the failure report in the order of Locust's file.
func (s *Stats) Failures() []*Failure {
	return slices.SortedFunc(maps.Values(s.errors), func(a, b *Failure) int { return cmp.Compare(a.key, b.key) })
}

// perSecond is a count over the whole run as a rate; every row has the same denominator.
func (s *Stats) perSecond(count int64) float64 {
	if seconds := s.Total.last - s.Total.start; s.Total.last > 0 && seconds > 0 {
		return float64(count) / seconds
	}
	return 0
}

// currentRate is the mean over the whole seconds from 12 to 3 before the last request.
func (s *Stats) currentRate(c counts) float64 {
	if s.Total.last == 0 {
		return 0
	}
	from, to := max(int64(s.Total.last)-12, int64(s.Total.start)), int64(s.Total.last)-2
	var sum int64
	for t := from; t < to; t++ {
		sum += c.n[t]
	}
	return float64(sum) / float64(max(to-from, 1))
}

// properRound rounds to the nearest integer, halves up, as Locust's proper_round.
func properRound(f float64) int { return int(math.Floor(f + 0.5)) }
