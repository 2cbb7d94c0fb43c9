package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// maxEvent bounds one event of a stream, in bytes.
const maxEvent = 4 << 20

// readStream reads a stream to its end and notes when its events and tokens came.
func readStream(a *Answer, r *Request, body io.Reader) error {
	s := &stream{answer: a, contains: r.Check.Contains}
	clock := &clockedReader{from: body}
	lines := bufio.NewReaderSize(clock, 16<<10)
	event := s.line
	if r.Stream == scenario.NDJSON {
		event = func(line []byte, at time.Time) { s.event(line, at) }
	}
	for {
		line, err := readLine(lines)
		if len(line) > 0 || err == nil {
			event(bytes.TrimRight(line, "\r\n"), clock.at)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			a.Bytes = clock.bytes
			return err
		}
	}
	s.line(nil, clock.at) // an event that the end of the stream cut off
	a.Bytes, a.End = clock.bytes, clock.at
	switch {
	case a.Failure.Failed():
	case r.Check.Done && !s.done:
		a.Failure = Failure{Kind: CheckFailed, Text: "the stream ended without [DONE]"}
	case r.Check.Contains != "" && !s.found:
		a.Failure = Failure{Kind: CheckFailed, Text: clip(fmt.Sprintf("the answer does not contain %q", r.Check.Contains))}
	}
	return nil
}

// clockedReader notes when the latest bytes came: several events may come at once, and then
// they have the same instant however long their reading takes.
type clockedReader struct {
	from  io.Reader
	at    time.Time
	bytes int64
}

func (c *clockedReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.at = time.Now()
	c.bytes += int64(n)
	return n, err
}

// readLine returns a line with its end. A line may be longer than the reader's buffer.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > maxEvent {
			return nil, fmt.Errorf("an event of the stream is longer than %d MB", maxEvent>>20)
		}
		line, err = r.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

// stream is the state of one stream that is being read.
type stream struct {
	answer    *Answer
	data      []byte // of the SSE event that is being read
	name      string // its event: field
	has       bool
	done      bool
	found     bool
	contains  string
	lastToken time.Time
}

// line takes one line of an event stream (WHATWG HTML, 9.2.6: interpreting an event stream).
func (s *stream) line(line []byte, at time.Time) {
	if len(line) == 0 {
		if s.has {
			s.event(s.data, at)
		}
		s.data, s.name, s.has = s.data[:0], "", false
		return
	}
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "data":
		if s.has {
			s.data = append(s.data, '\n')
		}
		if len(s.data)+len(value) <= maxEvent {
			s.data = append(s.data, value...)
		}
		s.has = true
	case "event":
		s.name = string(value)
	}
}

// event takes the payload of one event, or one line of NDJSON.
func (s *stream) event(payload []byte, at time.Time) {
	if len(bytes.TrimSpace(payload)) == 0 {
		return
	}
	a := s.answer
	if a.FirstEvent.IsZero() {
		a.FirstEvent = at
	}
	s.found = s.found || s.contains != "" && bytes.Contains(payload, []byte(s.contains))
	p := understand(s.name, payload)
	s.done = s.done || p.done
	if p.err != "" && !a.Failure.Failed() {
		a.Failure = Failure{Kind: StreamError, Text: clip(p.err)}
	}
	if !p.token {
		return
	}
	a.Tokens++
	if a.FirstToken.IsZero() {
		a.FirstToken = at
	} else if len(a.Gaps) < maxGaps {
		a.Gaps = append(a.Gaps, at.Sub(s.lastToken))
	}
	s.lastToken = at
}
