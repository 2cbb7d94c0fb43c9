package truth

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// Known is what the application says about one request.
type Known struct {
	ID         string    `json:"id"`
	Path       string    `json:"path"`
	Seconds    float64   `json:"seconds"`
	Operations []string  `json:"operations"` // in the order in which they were asked for
	Waits      []float64 `json:"waits"`      // seconds until each had a connection
	Holds      []float64 `json:"holds"`      // seconds that each then held it
}

// Seen is what the agent says about one request: a line of --requests.
type Seen struct {
	ID       string   `json:"id"`
	Endpoint string   `json:"endpoint"`
	Status   int      `json:"status"`
	Start    float64  `json:"start"` // on CLOCK_MONOTONIC
	Seconds  float64  `json:"seconds"`
	Complete bool     `json:"complete"`
	Missing  []string `json:"missing"`
	Stages   []struct {
		Stage   string             `json:"stage"`
		Peer    string             `json:"peer"`
		Seconds float64            `json:"seconds"`
		Reasons map[string]float64 `json:"reasons"`
	} `json:"stages"`
	Calls    []SeenCall `json:"calls"`
	TimedOut []string   `json:"timed_out"`
}

// SeenCall is one call of it; times in seconds on CLOCK_MONOTONIC.
type SeenCall struct {
	Peer         string  `json:"peer"`
	Operation    string  `json:"operation"`
	Connection   uint64  `json:"connection"`
	Stream       uint32  `json:"stream"`
	LocalPort    int     `json:"local_port"`
	Intent       float64 `json:"intent"`
	Sent         float64 `json:"sent"`
	FirstArrived float64 `json:"first_arrived"`
	LastRead     float64 `json:"last_read"`
	PoolWait     float64 `json:"pool_wait"`
	Unsure       float64 `json:"pool_wait_unsure"`
	Basis        string  `json:"basis"`
	Error        string  `json:"error"`
}

// sums are the seconds of all stages, and of what is unexplained.
func (s *Seen) sums() (all, unexplained float64) {
	for _, x := range s.Stages {
		all += x.Seconds
		if x.Stage == "unexplained" {
			unexplained += x.Seconds
		}
	}
	return all, unexplained
}

// unsure are the seconds of its waits for connections that are marked as unsure.
func (s *Seen) unsure() (seconds float64) {
	for _, k := range s.Calls {
		seconds += k.Unsure
	}
	return seconds
}

// What counts as a false or a missed wait, in seconds.
const (
	falseAbove, falseTruth = 0.002, 0.0003
	missedAbove            = 0.003
)

// Comparison is the agent beside the truth, over requests or over those of one endpoint.
type Comparison struct {
	Endpoint      string  `json:"endpoint"`
	Sent          int     `json:"sent"`
	Seen          int     `json:"seen"`
	Twice         int     `json:"seen_twice"`
	Incomplete    int     `json:"incomplete"`
	CallsMade     int     `json:"calls_made"`
	CallsLinked   int     `json:"calls_linked"` // to the right request
	CallsWrong    int     `json:"calls_wrong"`  // of another request
	TrueWait      float64 `json:"true_wait_seconds"`
	SeenWait      float64 `json:"seen_wait_seconds"`
	Error         Spread  `json:"error_seconds"` // of the wait per request, absolute, of those with calls
	Correlation   float64 `json:"correlation"`   // of both waits; 0 where one does not vary
	FalseWaits    int     `json:"false_waits"`   // above 2 ms where truth is below 0.3 ms
	FalseUnsure   int     `json:"false_unsure"`  // of them, those marked as unsure
	MissedWaits   int     `json:"missed_waits"`  // truth above 3 ms, nothing seen
	TrueWaits     int     `json:"true_waits"`    // truth above 3 ms
	SumViolations int     `json:"sum_violations"`
	Seconds       float64 `json:"seconds"`
	Unexplained   float64 `json:"unexplained_seconds"`
	ClientSeconds float64 `json:"client_seconds"` // of the same requests, by the client's clock
	waits, seen   []float64
	errors        []float64
}

// Spread is a distribution of absolute errors, in seconds.
type Spread struct {
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Compare joins the three views by request id. The first result is over all endpoints.
func Compare(sent []Sent, known []Known, seen []Seen) []*Comparison {
	truth := map[string]*Known{}
	for i := range known {
		truth[known[i].ID] = &known[i]
	}
	lines := map[string][]*Seen{}
	for i := range seen {
		lines[seen[i].ID] = append(lines[seen[i].ID], &seen[i])
	}
	total := &Comparison{Endpoint: "all"}
	by := map[string]*Comparison{}
	for i := range sent {
		s := &sent[i]
		if s.Err != nil || truth[s.ID] == nil {
			continue // no answer, nothing to compare
		}
		name := endpointOf(s.Path)
		if by[name] == nil {
			by[name] = &Comparison{Endpoint: name}
		}
		for _, c := range []*Comparison{total, by[name]} {
			c.add(s, truth[s.ID], lines[s.ID])
		}
	}
	out := []*Comparison{total}
	for _, c := range by {
		out = append(out, c)
	}
	slices.SortFunc(out[1:], func(a, b *Comparison) int { return strings.Compare(a.Endpoint, b.Endpoint) })
	for _, c := range out {
		c.finish()
	}
	return out
}

func endpointOf(path string) string {
	if strings.HasPrefix(path, "/items/") {
		path = "/items/{item}"
	}
	return "GET " + path
}

func (c *Comparison) add(s *Sent, k *Known, lines []*Seen) {
	c.Sent++
	c.CallsMade += len(k.Operations)
	waited := sum(k.Waits)
	if waited > missedAbove {
		c.TrueWaits++
	}
	c.TrueWait += waited
	if len(lines) == 0 {
		if waited > missedAbove {
			c.MissedWaits++
		}
		return
	}
	c.Seen++
	if len(lines) > 1 {
		c.Twice++
	}
	l := lines[0]
	if !l.Complete {
		c.Incomplete++
	}
	c.Seconds += l.Seconds
	c.ClientSeconds += s.Seconds
	var found float64
	stages, unexplained := l.sums()
	c.Unexplained += unexplained
	if math.Abs(stages-l.Seconds) > 1e-6 {
		c.SumViolations++
	}
	var operations []string
	for _, k := range l.Calls {
		found += k.PoolWait
		operations = append(operations, k.Operation)
	}
	linked, wrong := match(k.Operations, operations)
	c.CallsLinked += linked
	c.CallsWrong += wrong
	c.SeenWait += found
	if len(k.Operations) > 0 {
		c.errors = append(c.errors, math.Abs(found-waited))
		c.waits, c.seen = append(c.waits, waited), append(c.seen, found)
	}
	if found > falseAbove && waited < falseTruth {
		c.FalseWaits++
		if found-l.unsure() <= falseAbove {
			c.FalseUnsure++
		}
	}
	if waited > missedAbove && found == 0 {
		c.MissedWaits++
	}
}

// match counts the operations that were made and are linked, and those that are linked and were
// not made here: each endpoint has operations of its own.
func match(made, linked []string) (right, wrong int) {
	left := map[string]int{}
	for _, o := range made {
		left[strings.ToUpper(o)]++
	}
	for _, o := range linked {
		if left[strings.ToUpper(o)] > 0 {
			left[strings.ToUpper(o)]--
			right++
		} else {
			wrong++
		}
	}
	return right, wrong
}

func (c *Comparison) finish() {
	slices.Sort(c.errors)
	c.Error = Spread{at(c.errors, 0.5), at(c.errors, 0.9), at(c.errors, 0.99), at(c.errors, 1)}
	c.Correlation = correlation(c.waits, c.seen)
}

// readLines reads one JSON value a line.
func readLines[T any](path string) ([]T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decodeLines[T](f, path)
}

func decodeLines[T any](r io.Reader, name string) ([]T, error) {
	var out []T
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var v T
		if err := json.Unmarshal(in.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", name, len(out)+1, err)
		}
		out = append(out, v)
	}
	return out, in.Err()
}
