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
	"time"
)

// Scenario is one load test, checked and compiled. Read-only once loaded, apart from the
// fields that flags override (Host, Users, SpawnRate, Rate, Stages, RunTime, Thresholds).
type Scenario struct {
	Name        string
	Host        string        // base URL, "" when the command line must give it
	Users       int           // closed model
	SpawnRate   float64       // users started a second
	Rate        float64       // turns a second: the open model; 0 means the closed one
	Poisson     bool          // open model: exponential gaps instead of even ones
	MaxInFlight int           // open model: sends beyond it are missed and make the run invalid; 0: the loader's default
	Stages      []Stage       // load against time; Users or Rate is then the largest of them
	RunTime     time.Duration // 0: until interrupted
	Timeout     time.Duration // of one request; 0: the loader's default
	Client      Client
	Classes     []Class // at least one
	Tasks       []Task  // every kind of request of the classes once, as it is counted
	Thresholds  []Threshold

	sets      []*data
	variables []string
}

// Client is how the loader connects. The zero Client is the default.
type Client struct {
	ConnectTimeout   time.Duration // of TCP and of TLS, each; 0: the loader's default
	FirstByteTimeout time.Duration // from a request to the first byte of its answer; 0: the request's own
	NoKeepAlive      bool          // a connection for each request
	HTTP2            bool
	Insecure         bool // certificates are not checked
}

// Class is one kind of user.
type Class struct {
	Name    string // "" when the scenario names none
	Weight  float64
	Fixed   int    // closed model: so many users, whatever the weights; 0: by weight
	Host    string // base URL instead of the scenario's
	Think   Think  // closed model: pause between a user's turns
	Set     []Assign
	OnStart Sequence   // sent once, before the first turn
	Turns   []Sequence // one of them is a turn
}

// Sequence is what a user does in one turn: its steps, one after the other.
type Sequence struct {
	Name   string
	Weight float64
	Tags   []string
	Steps  []Step
	draws  []int // data sets of which it uses the user's row
}

// Step is one request of a sequence.
type Step struct {
	Task  *Task
	Entry int // index into Scenario.Tasks: where it is counted
	Set   []Assign
	Needs []int // variables without which it cannot be sent
	Think Think // pause before the next step
}

// Assign gives a variable its value.
type Assign struct {
	variable int
	value    *Template
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
	Name    string  // as it stands in statistics, "/api/v1/retrieval/search [hybrid]"
	Weight  float64 // its share of the turns
	Tags    []string
	Method  string
	Path    *Template // with the query
	Headers []Header
	Body    *Template // nil: none
	Stream  Stream
	Check   Check
	Save    []Save
	Keep    Keep
	Pattern string // the path without the query, templated segments as {}: "/items/{}"
}

// Keep says what of an answer its checks and saves want to see.
type Keep struct{ Body, Header bool }

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
	More     *More  // nil: nothing else
}

// Picker chooses by weight. Any positive weights work; only their ratios matter. A value; safe
// for concurrent use.
type Picker struct{ upTo []float64 }

func newPicker(weights []float64) Picker {
	p := Picker{upTo: make([]float64, len(weights))}
	var sum float64
	for i, w := range weights {
		sum += w
		p.upTo[i] = sum
	}
	return p
}

// Pick returns an index.
func (p Picker) Pick(r *rand.Rand) int {
	x := r.Float64() * p.upTo[len(p.upTo)-1]
	i, found := slices.BinarySearch(p.upTo, x)
	if found { // x lies on a border: it belongs to the next task
		i++
	}
	return min(i, len(p.upTo)-1)
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
