package memoryfile

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
)

// Hotspots is what NotMeasured calls the stacks that took memory.
const Hotspots = "memory hot spots"

// Schema identifies the format of memory_report.json.
const Schema = "ragscope.memory/1"

// Report is memory_report.json: what a recording says of memory, and what that stands on. Units
// are bytes and seconds; see report.schema.json.
type Report struct {
	Schema   string    `json:"schema"`
	Service  string    `json:"service"`
	Address  string    `json:"address"`
	Runtime  string    `json:"runtime"`
	PIDs     []int     `json:"pids"` // of the processes alive at the end
	Start    time.Time `json:"start"`
	Seconds  float64   `json:"seconds"`
	Requests int64     `json:"requests"`       // answered meanwhile
	PeakRSS  *uint64   `json:"peak_rss_bytes"` // null: not measured
	recording.Memory
	Scenarios   []ScenarioGrowth        `json:"scenarios,omitempty"` // of a run with a loader
	NotMeasured []recording.NotMeasured `json:"not_measured"`
}

// ScenarioGrowth is the growth in one scenario of the loader.
type ScenarioGrowth struct {
	Over string `json:"over"` // its name
	recording.MemoryGrowth
}

// NewReport takes from a recording what it says of memory.
func NewReport(r *recording.Recording) *Report {
	out := &Report{
		Schema: Schema, Service: r.Target.Service, Address: r.Target.Address, Runtime: r.Target.Runtime, PIDs: r.Target.PIDs,
		Start: r.Window.Start, Seconds: r.Window.Seconds, Memory: r.Memory, NotMeasured: []recording.NotMeasured{},
	}
	for _, e := range r.Endpoints {
		out.Requests += e.Requests
	}
	if len(r.Memory.Timeline) > 0 {
		peak := uint64(0)
		for _, t := range r.Memory.Timeline {
			peak = max(peak, t.RSS)
		}
		out.PeakRSS = &peak
	}
	for _, n := range r.NotMeasured {
		for _, about := range [...]string{"memory", "PSS", "growth", "alloc"} {
			if strings.Contains(n.What, about) {
				out.NotMeasured = append(out.NotMeasured, n)
				break
			}
		}
	}
	return out
}

// Write writes the report as indented JSON.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
