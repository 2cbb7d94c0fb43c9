package truth

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/ragscope/ragscope/internal/kernel"
	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/recording/collect"
	"github.com/ragscope/ragscope/internal/request"
)

// A capture is a short run of one row: all events that the agent got, and what the wire and the application
// know. Replayed through the heart it is judged as a run is, without a kernel, a client or a server.
type capture struct {
	Late     bool              `json:"late"` // the loop reads after it polled again, as uvloop does
	Versions map[string]string `json:"versions"`
	IDs      []string          `json:"ids,omitempty"`   // of the requests that were sent to a row of outgoing calls
	Asked    []*Asked          `json:"asked,omitempty"` // what was sent to a row of a server
	Pools    *poolsTruth       `json:"pools,omitempty"` // of a run of the application of pools
	callersTruth

	events []event.Event
}

// capturedRows are the clients under a small load: 8 at once for 2 connections, each pattern 8 times.
func capturedRows() (out []callers) {
	have := map[string]bool{}
	for _, c := range clientRows() {
		c.concurrency, c.pool, c.loop, c.joined, c.precision = 8, 2, "", false, kernel.Full
		c.requests = 8 * len(c.paths())
		if c.streams > 0 {
			c.streams = 2
		}
		if len(out)%2 == 1 {
			c.loop = "asyncio"
		}
		if c.host != nil {
			c.loop = c.host.loop
		}
		key := fmt.Sprint(c.client, c.middleware, c.streams, c.server())
		if c.peer == "ollama" || have[key] { // their clients talk to another server too
			continue
		}
		have[key] = true
		out = append(out, c)
	}
	return out
}

// fileOf is a row's name as one of a file.
func fileOf(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ,.", r) {
			return '-'
		}
		return r
	}, strings.ReplaceAll(name, ", ", "-"))
}

// captured runs the row and leaves name.events.gz and name.truth.gz in a directory.
func (c callers) captured(ctx context.Context, dir, to string) error {
	raw := filepath.Join(dir, "events")
	o, err := c.observe(ctx, dir, raw)
	if err != nil {
		return err
	}
	k := capture{Late: c.loop == "", callersTruth: o.truth, Versions: pythonVersions(o.python, "uvicorn", "uvloop", strings.Fields(c.client)[0])}
	for _, s := range o.sent {
		if s.Err != nil || s.Status != 200 {
			return fmt.Errorf("request %s: status %d, %w", s.ID, s.Status, s.Err)
		}
		k.IDs = append(k.IDs, s.ID)
	}
	return k.keep(raw, filepath.Join(to, fileOf(c.name())))
}

// captured runs each mode of the server once.
func (s *Server) captured(ctx context.Context, dir, to string) error {
	raw := filepath.Join(dir, "events")
	asked, _, rec, err := observeInbound(ctx, dir, *s, s.modes(), 1, raw)
	if err != nil {
		return err
	}
	k := capture{Late: strings.Contains(rec.Target.Runtime, "uvloop"), Asked: asked}
	if python, err := venv(inboundVenv); err == nil {
		k.Versions = pythonVersions(python, s.packages()...)
	}
	return k.keep(raw, filepath.Join(to, fileOf(s.Name)))
}

// keep writes stem.events.gz, of the events in a file, and stem.truth.gz.
func (k *capture) keep(raw, stem string) error {
	events, err := os.ReadFile(raw)
	if err != nil {
		return err
	}
	truth, err := json.Marshal(k)
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{".events.gz": events, ".truth.gz": truth} {
		var out bytes.Buffer
		z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // that level exists
		if _, err := z.Write(b); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(stem+name, out.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// readCapture reads what captured left.
func readCapture(stem string) (*capture, error) {
	k := &capture{}
	err := unzipped(stem+".truth.gz", func(r io.Reader) error { return json.NewDecoder(r).Decode(k) })
	if err != nil {
		return nil, err
	}
	return k, unzipped(stem+".events.gz", func(r io.Reader) (err error) {
		k.events, err = event.ReadStream(bufio.NewReader(r))
		return err
	})
}

func unzipped(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := read(z); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// lineSink keeps the lines of requests.
type lineSink struct{ *collect.Lines }

func (s lineSink) Request(r *request.Request)  { s.Write(r) }
func (lineSink) Call(*request.Call)            {}
func (lineSink) Connection(request.Connection) {}
func (lineSink) Lag(request.Lag)               {}
func (lineSink) Block(request.Block)           {}

// replay feeds the events as the agent does, and returns what it would have seen and lost.
// endpoint names requests by the application's templates, if it has any.
func (k *capture) replay(endpoint func(method, path string) string) ([]Seen, map[string]uint64, error) {
	var lines bytes.Buffer
	sink := lineSink{collect.NewLines(&lines)}
	t := request.New(request.Options{
		Endpoint:  func(_ uint32, method, path string) string { return endpoint(method, path) },
		Late:      func(uint32) bool { return k.Late },
		EventLoop: func(uint32) bool { return true },
	}, sink)
	var q request.Sequence
	const poll = 10_000_000 // ns
	next := int64(0)
	for i := range k.events {
		q.Push(&k.events[i])
		if at := k.events[i].Time; at > next {
			q.Release(at-request.Hold, t.Feed)
			next = at + poll
		}
	}
	q.Release(math.MaxInt64, t.Feed)
	if err := sink.Flush(); err != nil {
		return nil, nil, err
	}
	seen, err := decodeLines[Seen](&lines, "replay")
	losses := map[string]uint64{}
	for _, l := range t.Losses() {
		losses[l.Source+": "+l.Reason] += l.Count
	}
	return seen, losses, err
}

// figures judges the capture as a row.
func (k *capture) figures(c callers) (*Row, error) {
	seen, losses, err := k.replay(func(method, path string) string { return method + " " + path })
	if err != nil {
		return nil, err
	}
	var sent []Sent
	for _, id := range k.IDs {
		sent = append(sent, Sent{ID: id, Status: 200})
	}
	r := &Row{Name: c.name(), Losses: losses}
	j := newJudge(&k.callersTruth, r.Requests(sent, seen))
	r.Calls, r.Wait = j.calls(), j.waits(c)
	r.Note = j.remarks(r)
	return r, nil
}

// inbound judges the capture as a row of a server.
func (k *capture) inbound(s *Server) (*Row, error) {
	seen, losses, err := k.replay(func(method, path string) string { return named(method, path, s.Templates) })
	if err != nil {
		return nil, err
	}
	r := inboundRow(s, compareInbound(s, s.modes(), k.Asked, seen))
	r.Losses = losses
	return r, nil
}
