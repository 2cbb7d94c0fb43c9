package truth

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/recording"
)

// Allocated is what the application says of one request: a line of app/allocate.py, in bytes and seconds on CLOCK_MONOTONIC.
type Allocated struct {
	Path    string  `json:"path"`
	PID     int     `json:"pid"`
	Bytes   float64 `json:"bytes"` // asked of allocators
	Begin   float64 `json:"begin"`
	End     float64 `json:"end"`
	Touched float64 `json:"touched"` // page faults of its thread
	Grown   float64 `json:"grown"`   // private memory in RAM
}

// AllocationSettings are how the application runs, and what is sent to it.
type AllocationSettings struct {
	Loop    string  `json:"loop"`
	Workers int     `json:"workers"`
	Rate    float64 `json:"rate"`                  // requests a second, 0: two at a time by worker, as fast as it can
	Conns   int     `json:"connections,omitempty"` // by worker; 0: two, or 16 at a rate
	Seconds float64 `json:"seconds"`               // for which calls of allocators are watched, with pauses
}

// String is how it is named in results.
func (s AllocationSettings) String() string {
	load := "as fast as it can"
	if s.Rate > 0 {
		load = fmt.Sprintf("%.0f requests/s", s.Rate)
	}
	if s.Conns > 0 {
		load += fmt.Sprintf(" on %d connections each", s.Conns)
	}
	return fmt.Sprintf("%s, %d worker(s), %s", s.Loop, s.Workers, load)
}

// AllocationRow is one endpoint of a run, in bytes.
type AllocationRow struct {
	Path    string  `json:"path"`
	Known   float64 `json:"known"`   // asked for in all of the run: by its function; the server takes some KB more for a request
	Watched float64 `json:"watched"` // … in the time that was watched
	Seen    float64 `json:"seen"`    // by the agent
	Done    int     `json:"done"`    // requests in all of the run

	Requests   float64             `json:"requests"`    // of them in the windows, by the agent
	PerRequest *recording.Estimate `json:"per_request"` // bytes, by the agent: with what the server takes
	Share      *recording.Estimate `json:"share"`       // of all endpoints, by the agent
}

// AllocationFindings is a run that holds bytes by endpoint to the truth.
type AllocationFindings struct {
	AllocationSettings
	Date    string                `json:"date"`
	Sent    int                   `json:"sent"`
	Rows    []AllocationRow       `json:"rows"`
	Said    recording.Allocations `json:"said"`
	Windows int                   `json:"windows"`
	Server  float64               `json:"server"` // bytes by request that asks for nothing itself, by the agent
	Others  map[string]float64    `json:"others"` // bytes of no such endpoint
	Lost    []recording.Loss      `json:"losses"`
	Cost    recording.Overhead    `json:"overhead"`
	Rec     *recording.Recording  `json:"-"`
}

// allocationPaths are asked for in turn.
var allocationPaths = []string{"/array", "/blocks", "/objects", "/few", nothing}

const nothing = "/none"

// share is row i's part of what all asked for, as it is known, by the agent, and by the bytes in its windows alone.
func (f *AllocationFindings) share(i int) (known, said, windows float64) {
	var all AllocationRow
	estimates := 0.
	for _, r := range f.Rows {
		all.Known, all.Seen = all.Known+r.Known, all.Seen+r.Seen
		if r.Share != nil {
			estimates += r.Share.Estimate
		}
	}
	r := &f.Rows[i]
	if r.Share != nil {
		said = ratio(r.Share.Estimate, estimates)
	}
	return ratio(r.Known, all.Known), said, ratio(r.Seen, all.Seen)
}

// offByRequest is how far the bytes by request are from those known, as a part of these: what the server takes for a
// request that asks for nothing is taken off. held says that the interval holds the truth, or all of them are within a hundredth of it: those of requests that ask for the same are as narrow as can be.
func (f *AllocationFindings) offByRequest(i int) (off float64, held bool) {
	r := &f.Rows[i]
	if r.PerRequest == nil {
		return math.NaN(), false
	}
	known, e := ratio(r.Known, float64(r.Done)), r.PerRequest
	off = (e.Estimate-f.Server)/known - 1
	return off, math.Abs(off) < .01 || e.Low-f.Server <= known && known <= e.High-f.Server
}

// off is how far the bytes of row i are from those of the time that was watched, as a part of these.
func (f *AllocationFindings) off(i int) float64 { return ratio(f.Rows[i].Seen, f.Rows[i].Watched) - 1 }

// connections are so many for each worker.
func (s *AllocationSettings) connections() int {
	switch {
	case s.Conns > 0:
		return s.Conns * s.Workers
	case s.Rate > 0:
		return 16 * s.Workers
	}
	return 2 * s.Workers
}

// loadWhile sends paths in turn until stop, and says how many were answered.
func loadWhile(ctx context.Context, t *Target, conns int, rate float64, paths []string) (stop func() (int, error), err error) {
	var wires [][]byte
	for _, p := range paths {
		wires = append(wires, Wire("GET", t.Address, p, ""))
	}
	client, err := Dial(t.Address, conns, rate, wires...)
	if err != nil {
		return nil, err
	}
	done, ended := make(chan struct{}), make(chan error, 1)
	sent := 0
	go func() {
		for {
			w, err := client.Run(ctx, time.Second)
			sent += w.Requests
			select {
			case <-done:
				ended <- err
				return
			default:
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	return func() (int, error) {
		close(done)
		err := <-ended
		client.Close()
		return sent, err
	}, nil
}

// RunAllocations has the application allocate and compares whose the bytes are.
func RunAllocations(ctx context.Context, dir string, set AllocationSettings) (*AllocationFindings, error) {
	s := NewStand(dir)
	defer s.Close()
	t, err := s.StartTarget(Settings{App: "allocate", needs: "profiles", Loop: set.Loop, Workers: set.Workers, Log: true, env: []string{"OPENBLAS_NUM_THREADS=1"}})
	if err != nil {
		return nil, err
	}
	stop, err := loadWhile(ctx, t, set.connections(), set.Rate, allocationPaths)
	if err != nil {
		return nil, err
	}
	f := &AllocationFindings{AllocationSettings: set, Date: time.Now().UTC().Format("2006-01-02 15:04 UTC")}
	rec, err := s.watchAllocations(t, set.Seconds)
	sent, stopped := stop()
	if err != nil {
		return nil, err
	}
	if stopped != nil {
		return nil, stopped
	}
	f.Sent, f.Rec, f.Cost = sent, rec, rec.Overhead
	for _, l := range rec.Losses {
		if l.Count > 0 {
			f.Lost = append(f.Lost, l)
		}
	}
	if rec.Memory.Allocations == nil {
		return nil, fmt.Errorf("%w: allocations by endpoint: %+v", ErrMissing, rec.NotMeasured)
	}
	f.Said = *rec.Memory.Allocations
	known, err := readLines[Allocated](t.Truth)
	if err != nil {
		return nil, fmt.Errorf("read the truth: %w", err)
	}
	f.compare(known)
	return f, nil
}

// watchAllocations runs an agent for as long as it watches.
func (s *Stand) watchAllocations(t *Target, seconds float64) (*recording.Recording, error) {
	d := time.Duration(seconds * float64(time.Second))
	a, err := s.StartAgent(AgentSettings{Target: t.Address, Precision: kernel.Full, Memory: true, Allocations: d})
	if err != nil {
		return nil, err
	}
	time.Sleep(d)
	for range 60 { // loading the programs takes a second or two more, or many where the machine is busy
		status, err := a.Status()
		if err != nil {
			return nil, err
		}
		if status.Allocations {
			break
		}
		time.Sleep(time.Second)
	}
	return a.Finish()
}

func (f *AllocationFindings) compare(known []Allocated) {
	at := map[string]int{}
	for _, p := range allocationPaths {
		if p != nothing {
			at[p], f.Rows = len(f.Rows), append(f.Rows, AllocationRow{Path: p})
		}
	}
	f.Others = map[string]float64{}
	for _, e := range f.Said.Endpoints {
		path := pathOf(e.Endpoint)
		if i, is := at[path]; is {
			r := &f.Rows[i]
			r.Seen, r.Requests, r.PerRequest, r.Share = float64(e.Bytes), e.Requests, e.PerRequest, e.Share
		} else {
			if path == nothing && e.PerRequest != nil {
				f.Server = e.PerRequest.Estimate
			}
			f.Others[e.Endpoint] += float64(e.Bytes)
		}
	}
	for _, k := range known {
		if i, is := at[k.Path]; is {
			f.Rows[i].Known += k.Bytes
			f.Rows[i].Watched += k.Bytes * f.watched(k)
			f.Rows[i].Done++
		}
	}
	f.Windows, f.Said.Windows, f.Said.Hotspots = len(f.Said.Windows), nil, nil // too much to commit
}

// watched is the part of a request's work that lies in the time that was watched.
func (f *AllocationFindings) watched(k Allocated) float64 {
	var sum float64
	for _, w := range f.Said.Windows {
		if w.PID == k.PID {
			sum += max(0, min(k.End, w.Begin+w.Seconds)-max(k.Begin, w.Begin))
		}
	}
	return ratio(sum, k.End-k.Begin)
}

// pathOf is the path of an endpoint that is asked for by GET.
func pathOf(endpoint string) string { return strings.TrimPrefix(endpoint, "GET ") }
