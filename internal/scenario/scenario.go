// Package scenario is what to send: tasks, weights, users, data, arrival model, thresholds.
//
// In: a scenario file (YAML or JSON, see scenario.schema.json) or the name of a built-in one,
// and data files beside it. Out: a checked Scenario whose templates are compiled, ready for
// room load. It never sends anything, and it never guesses: an unknown field, a bad duration
// or a data set that nobody defined is an error with file, line and what to do.
package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// Scenario is one load test, checked and compiled. Read-only once loaded, apart from the
// fields that flags override (Users, SpawnRate, Rate, Stages, RunTime, Think, Thresholds).
type Scenario struct {
	Name        string
	Host        string        // base URL, "" when the command line must give it
	Users       int           // closed model
	SpawnRate   float64       // users started a second
	Rate        float64       // requests a second: the open model; 0 means the closed one
	Poisson     bool          // open model: exponential gaps instead of even ones
	MaxInFlight int           // open model: sends beyond it are missed and make the run invalid; 0: the loader's default
	Stages      []Stage       // load against time; Users or Rate is then the largest of them
	RunTime     time.Duration // 0: until interrupted
	Timeout     time.Duration // of one request; 0: the loader's default
	Think       Think         // closed model: pause between a user's requests
	Tasks       []Task
	Thresholds  []Threshold
}

// Stage moves the load to a level and holds it there to the stage's end.
type Stage struct {
	Users     int     // closed model
	Rate      float64 // open model: requests a second
	SpawnRate float64 // by how much a second; 0: evenly over the whole stage
	Duration  time.Duration
}

// Level is the load that the stage leads to, in either model.
func (s Stage) Level() float64 { return max(s.Rate, float64(s.Users)) }

// Task is one kind of request.
type Task struct {
	Name    string // as it stands in statistics, "/api/v1/retrieval/search [hybrid]"
	Weight  float64
	Tags    []string
	Method  string
	Path    *Template // with the query
	Headers []Header
	Body    *Template // nil: none
	Stream  Stream
	Check   Check
	Pattern string // the path without the query, templated segments as {}: "/items/{}"
}

// Endpoint is the task's method and path pattern, "POST /api/v1/chat".
func (t *Task) Endpoint() string { return t.Method + " " + t.Pattern }

// Header is one request header.
type Header struct {
	Name  string
	Value *Template
}

// Stream says how a streaming response is framed.
type Stream string

// The framings.
const (
	NoStream Stream = ""
	SSE      Stream = "sse"    // text/event-stream
	NDJSON   Stream = "ndjson" // one JSON object a line
)

// Check is what a good answer looks like. The zero Check accepts every status below 400.
type Check struct {
	Status   []int  // any of them
	Contains string // the body holds this text
	Done     bool   // a stream must say that it is complete ([DONE] or "done": true)
}

// Env is what a template may draw on while it is rendered. One per user, not shared.
type Env struct {
	Rand *rand.Rand
	User int           // number of the virtual user, from 1
	Seq  *atomic.Int64 // shared by all users of a run
}

// Picker chooses tasks by weight. A value; safe for concurrent use.
type Picker struct{ upTo []float64 }

// Picker returns a chooser over the scenario's tasks. Any positive weights work; only their
// ratios matter.
func (s *Scenario) Picker() Picker {
	p := Picker{upTo: make([]float64, len(s.Tasks))}
	var sum float64
	for i, t := range s.Tasks {
		sum += t.Weight
		p.upTo[i] = sum
	}
	return p
}

// Pick returns the index of a task.
func (p Picker) Pick(r *rand.Rand) int {
	x := r.Float64() * p.upTo[len(p.upTo)-1]
	i, found := slices.BinarySearch(p.upTo, x)
	if found { // x lies on a border: it belongs to the next task
		i++
	}
	return min(i, len(p.upTo)-1)
}

// Filter keeps the tasks that carry any of the tags (all, when tags is empty) and none of
// the excluded ones. It is an error when no task is left.
func (s *Scenario) Filter(tags, excluded []string) error {
	keep := slices.DeleteFunc(slices.Clone(s.Tasks), func(t Task) bool {
		has := func(tag string) bool { return slices.Contains(t.Tags, tag) }
		return len(tags) > 0 && !slices.ContainsFunc(tags, has) || slices.ContainsFunc(excluded, has)
	})
	if len(keep) == 0 {
		return fmt.Errorf("no task of scenario %s is left after --tags %v --exclude-tags %v; its tags are %v", s.Name, tags, excluded, s.tags())
	}
	s.Tasks = keep
	return nil
}

func (s *Scenario) tags() []string {
	var all []string
	for _, t := range s.Tasks {
		all = append(all, t.Tags...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Equalize gives every task the same weight.
func (s *Scenario) Equalize() {
	for i := range s.Tasks {
		s.Tasks[i].Weight = 1
	}
}

// CheckThresholds reports thresholds that name a task the scenario does not have.
func (s *Scenario) CheckThresholds() error {
	var errs []error
	for _, th := range s.Thresholds {
		errs = append(errs, s.checkThreshold(th))
	}
	return errors.Join(errs...)
}

func (s *Scenario) checkThreshold(th Threshold) error {
	for _, t := range s.Tasks {
		if th.Applies(t.Method, t.Name, t.Pattern) {
			return nil
		}
	}
	return fmt.Errorf("threshold %q matches no task; write METHOD and the task's name or path, such as %q", th.Text, s.Tasks[0].Method+" "+s.Tasks[0].Name)
}
