package load

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

// Summary adds samples up, by task.
type Summary struct {
	Tasks   []TaskResult
	Lag     recording.Dist // intended to actual send
	Aborted int64          // given up at the end, in no other figure
	LastEnd time.Duration  // offset from the start
	Since   time.Duration  // of the last reset: offset from the start
}

// TaskResult is what one task measured. Every distribution holds failed and limited requests
// too, so that its count is Requests; those of streams hold the streams that got so far.
type TaskResult struct {
	Name, Method, Endpoint string
	Requests               int64
	Failures               int64 // without Limited
	Limited                int64 // answered 429
	Redirects              int64
	Resent                 int64 // sent again because the server had closed the idle connection
	Bytes                  int64
	Response               recording.Dist // intended send to end
	Service                recording.Dist // actual send to end
	Connect                recording.Dist // of the requests that had to open a connection, a part of Service
	FirstByte              recording.Dist // actual send to the answer's first byte
	FirstEvent             recording.Dist // intended send to first event
	FirstToken             recording.Dist // intended send to first token
	TokenGap               recording.Dist // between tokens
	Tokens                 int64
	Status                 map[int]int64 // 0: no answer
	Errors                 map[Failure]int64
	Slowest                []recording.Slow // of a run with Config.Identify
}

// maxErrors bounds the different failures kept of one task; the rest is one entry.
const maxErrors = 200

var otherFailures = Failure{Kind: Network, Text: "other failures (too many different ones)"}

func newSummary(s *scenario.Scenario) *Summary {
	sum := &Summary{Tasks: make([]TaskResult, len(s.Tasks))}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		sum.Tasks[i] = TaskResult{Name: t.Name, Method: t.Method, Endpoint: t.Endpoint(), Status: map[int]int64{}, Errors: map[Failure]int64{}}
	}
	return sum
}

func (sum *Summary) add(s *Sample) {
	sum.Lag.Observe(s.Lag().Seconds())
	sum.LastEnd = max(sum.LastEnd, s.End)
	t := &sum.Tasks[s.Task]
	t.Requests++
	t.Status[s.Status]++
	t.Bytes += s.Bytes
	t.Tokens += int64(s.Tokens)
	t.Resent += int64(s.Resent)
	if s.Redirects > 0 {
		t.Redirects++
	}
	t.Response.Observe(s.Response().Seconds())
	t.Service.Observe(s.Service().Seconds())
	observe(&t.Connect, s.Connect, 0)
	observe(&t.FirstByte, s.FirstByte, s.Sent)
	observe(&t.FirstEvent, s.FirstEvent, s.Intended)
	observe(&t.FirstToken, s.FirstToken, s.Intended)
	for _, g := range s.Gaps {
		t.TokenGap.Observe(g.Seconds())
	}
	t.fail(s.Failure)
	if s.Identity != nil {
		t.Slowest = recording.AddSlow(t.Slowest, recording.Slow{
			ID: s.Identity.ID, TraceID: s.Identity.TraceID, Status: s.Status, Response: s.Response().Seconds(), Service: s.Service().Seconds(),
		})
	}
}

func observe(d *recording.Dist, at, from time.Duration) {
	if at > 0 {
		d.Observe((at - from).Seconds())
	}
}

func (t *TaskResult) fail(f Failure) {
	switch {
	case !f.Failed():
		return
	case f.Limited():
		t.Limited++
	default:
		t.Failures++
	}
	if _, known := t.Errors[f]; !known && len(t.Errors) >= maxErrors {
		f = otherFailures
	}
	t.Errors[f]++
}

// merge adds another task's figures, for endpoints that several tasks share.
func (t *TaskResult) merge(o *TaskResult) {
	t.Requests += o.Requests
	t.Failures += o.Failures
	t.Limited += o.Limited
	t.Redirects += o.Redirects
	t.Resent += o.Resent
	t.Bytes += o.Bytes
	t.Tokens += o.Tokens
	t.Response.Merge(o.Response)
	t.Service.Merge(o.Service)
	t.Connect.Merge(o.Connect)
	t.FirstByte.Merge(o.FirstByte)
	t.FirstEvent.Merge(o.FirstEvent)
	t.FirstToken.Merge(o.FirstToken)
	t.TokenGap.Merge(o.TokenGap)
	for code, n := range o.Status {
		t.Status[code] += n
	}
	for f, n := range o.Errors {
		t.Errors[f] += n
	}
	for _, s := range o.Slowest {
		t.Slowest = recording.AddSlow(t.Slowest, s)
	}
}

// Total returns the figures of the tasks that keep says yes to, added up.
func (sum *Summary) Total(keep func(*TaskResult) bool) TaskResult {
	total := TaskResult{Status: map[int]int64{}, Errors: map[Failure]int64{}}
	for i := range sum.Tasks {
		if t := &sum.Tasks[i]; keep(t) {
			total.merge(t)
		}
	}
	return total
}

// All adds all tasks up.
func (sum *Summary) All() TaskResult { return sum.Total(func(*TaskResult) bool { return true }) }

// Endpoints returns the client's view of each endpoint, sorted by name. Tasks that share an
// endpoint are added up.
func (sum *Summary) Endpoints() []recording.Endpoint {
	names := map[string]bool{}
	for _, t := range sum.Tasks {
		names[t.Endpoint] = true
	}
	var out []recording.Endpoint
	for _, name := range slices.Sorted(maps.Keys(names)) {
		t := sum.Total(func(t *TaskResult) bool { return t.Endpoint == name })
		if t.Requests == 0 {
			continue
		}
		c := t.client()
		c.Tasks = sum.tasks(name)
		out = append(out, recording.Endpoint{Endpoint: name, Client: c})
	}
	return out
}

// tasks returns the figures of each task that asks the endpoint.
func (sum *Summary) tasks(endpoint string) []recording.Task {
	var out []recording.Task
	for _, t := range sum.Tasks {
		if t.Endpoint == endpoint && t.Requests > 0 {
			out = append(out, recording.Task{Name: t.Name, Requests: t.Requests, Failures: t.Failures, Limited: t.Limited, Bytes: t.Bytes, Response: t.Response, Service: t.Service})
		}
	}
	return out
}

func (t *TaskResult) client() *recording.Client {
	c := &recording.Client{
		Requests: t.Requests, Failures: t.Failures, Limited: t.Limited,
		Response: t.Response, Service: t.Service, FirstToken: t.FirstToken, TokenGap: t.TokenGap, Slowest: t.Slowest,
	}
	for f, n := range t.Errors {
		c.Errors = append(c.Errors, recording.Failure{Error: f.String(), Count: n})
	}
	slices.SortFunc(c.Errors, func(a, b recording.Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Error, b.Error))
	})
	return c
}
