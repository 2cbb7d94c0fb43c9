package load

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

// HLog writes a run as an HdrHistogram interval log: each second two lines for each task that
// had answers, and two for all of them. The tag "response:POST_/chat" counts from the intended
// send, which is the latency corrected for coordinated omission; "service:POST_/chat" counts
// from the actual send, uncorrected, as Locust does. It is a Sink.
type HLog struct {
	file  *os.File
	w     *bufio.Writer
	log   *recording.IntervalLog
	tags  []string
	tasks [][2]recording.Dist // by task, then all; response and service clock
	seen  []bool              // tags that had a line
	from  time.Duration
	err   error
}

var _ Sink = (*HLog)(nil)

// NewHLog creates the file, with the folders that are missing.
func NewHLog(path string, s *scenario.Scenario, start time.Time) (*HLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("--hlog: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--hlog: %w", err)
	}
	h := &HLog{file: f, w: bufio.NewWriter(f), tasks: make([][2]recording.Dist, len(s.Tasks)+1), seen: make([]bool, len(s.Tasks)+1)}
	for i := range s.Tasks {
		h.tags = append(h.tags, s.Tasks[i].Method+" "+s.Tasks[i].Name)
	}
	h.tags = append(h.tags, "all")
	h.log = recording.NewIntervalLog(h.w, "scenario "+s.Name+", nanoseconds; response: from the intended send, service: from the actual send", start)
	return h, nil
}

// Add implements Sink.
func (h *HLog) Add(samples []Sample) {
	all := len(h.tasks) - 1
	for i := range samples {
		s := &samples[i]
		for _, t := range []int{s.Task, all} {
			h.tasks[t][0].Observe(s.Response().Seconds())
			h.tasks[t][1].Observe(s.Service().Seconds())
		}
	}
}

// Tick implements Sink.
func (h *HLog) Tick(p Progress) {
	for i, tag := range h.tags {
		d := &h.tasks[i]
		h.seen[i] = h.seen[i] || d[0].Count > 0
		if !h.seen[i] {
			continue
		}
		h.keep(h.log.Add("response:"+tag, h.from, p.Elapsed, &d[0]))
		h.keep(h.log.Add("service:"+tag, h.from, p.Elapsed, &d[1]))
		*d = [2]recording.Dist{}
	}
	h.from = p.Elapsed
	h.keep(h.w.Flush())
}

func (h *HLog) keep(err error) {
	if h.err == nil && err != nil {
		h.err = fmt.Errorf("--hlog: %w", err)
	}
}

// Close ends the writing and returns the first error that there was.
func (h *HLog) Close() error { return errors.Join(h.err, h.file.Close()) }
