package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ragscope/ragscope/internal/scenario"
)

// RequestLog writes one line of JSON for each finished request, in the order of their end. id is what
// `agent record --requests` calls it too, and start is on the same clock. It is a Sink; the run needs
// Config.Identify.
type RequestLog struct {
	file   *os.File
	w      *bufio.Writer
	json   *json.Encoder
	names  []string      // of endpoints, by task
	origin time.Time     // an instant,
	at     time.Duration // and the same on CLOCK_MONOTONIC
	err    error
	lost   int64 // lines that could not be written
}

// requestLine is one line. Times in seconds.
type requestLine struct {
	ID         string    `json:"id"`                 // x-request-id
	TraceID    string    `json:"trace_id,omitempty"` // of traceparent
	Endpoint   string    `json:"endpoint"`
	Status     int       `json:"status"` // 0: no answer
	Failure    string    `json:"failure,omitempty"`
	Time       time.Time `json:"time"`  // when it was sent, by the calendar
	Start      float64   `json:"start"` // the same on CLOCK_MONOTONIC
	Lag        float64   `json:"lag"`   // from when it should have been sent until then
	Seconds    float64   `json:"seconds"`
	Connect    float64   `json:"connect,omitempty"`     // of them, opening a connection
	FirstByte  float64   `json:"first_byte,omitempty"`  // from start, as the next two
	FirstEvent float64   `json:"first_event,omitempty"` // of a stream
	FirstToken float64   `json:"first_token,omitempty"`
	Gaps       []float64 `json:"gaps,omitempty"` // between tokens
	Tokens     int       `json:"tokens,omitempty"`
	Bytes      int64     `json:"bytes"`
	Redirects  int       `json:"redirects,omitempty"`
	Resent     int       `json:"resent,omitempty"`
}

var _ Sink = (*RequestLog)(nil)

// NewRequestLog creates the file, with the folders that are missing.
func NewRequestLog(path string, s *scenario.Scenario) (*RequestLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("--requests: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--requests: %w", err)
	}
	l := &RequestLog{file: f, w: bufio.NewWriterSize(f, 64<<10)}
	l.json = json.NewEncoder(l.w)
	l.json.SetEscapeHTML(false)
	for i := range s.Tasks {
		l.names = append(l.names, s.Tasks[i].Method+" "+s.Tasks[i].Name)
	}
	var now unix.Timespec
	l.origin = time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return nil, errors.Join(fmt.Errorf("--requests: %w", err), f.Close())
	}
	l.at = time.Duration(now.Nano())
	return l, nil
}

// Add implements Sink.
func (l *RequestLog) Add(samples []Sample) {
	for i := range samples {
		if l.err == nil {
			l.err = l.json.Encode(l.line(&samples[i]))
		}
		if l.err != nil {
			l.lost++
		}
	}
}

func (l *RequestLog) line(s *Sample) *requestLine {
	since := func(at time.Duration) float64 {
		if at == 0 {
			return 0
		}
		return (at - s.Sent).Seconds()
	}
	out := &requestLine{
		ID: s.Identity.ID, TraceID: s.Identity.TraceID, Endpoint: l.names[s.Task], Status: s.Status, Failure: s.Failure.String(),
		Time: s.Identity.Sent, Start: (l.at + s.Identity.Sent.Sub(l.origin)).Seconds(), Lag: s.Lag().Seconds(), Seconds: s.Service().Seconds(),
		Connect: s.Connect.Seconds(), FirstByte: since(s.FirstByte), FirstEvent: since(s.FirstEvent), FirstToken: since(s.FirstToken),
		Tokens: s.Tokens, Bytes: s.Bytes, Redirects: s.Redirects, Resent: s.Resent,
	}
	for _, g := range s.Gaps {
		out.Gaps = append(out.Gaps, g.Seconds())
	}
	return out
}

// Tick implements Sink.
func (l *RequestLog) Tick(Progress) {
	if l.err == nil {
		l.err = l.w.Flush()
	}
}

// Close ends the writing and returns the first error that there was, with the number of requests that are missing
// because of it.
func (l *RequestLog) Close() error {
	if err := l.file.Close(); l.err == nil {
		l.err = err
	}
	if l.err == nil {
		return nil
	}
	return fmt.Errorf("--requests: %w; at least %d requests have no line", l.err, l.lost)
}
