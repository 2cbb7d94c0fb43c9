package collect

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"slices"

	"github.com/ragscope/ragscope/internal/request"
)

// Lines writes one JSON line a request: the --requests file.
type Lines struct {
	w   *bufio.Writer
	enc *json.Encoder
	err error
}

// NewLines writes to w; Flush at the end.
func NewLines(w io.Writer) *Lines {
	b := bufio.NewWriterSize(w, 1<<16)
	return &Lines{w: b, enc: json.NewEncoder(b)}
}

type line struct {
	ID         string      `json:"id"`
	Endpoint   string      `json:"endpoint"`
	Status     int         `json:"status"`
	PID        uint32      `json:"pid"`
	Start      float64     `json:"start"` // seconds on CLOCK_MONOTONIC, as all times here
	Seconds    float64     `json:"seconds"`
	Stages     []lineStage `json:"stages"`
	Calls      []lineCall  `json:"calls"`
	TimedOut   []string    `json:"timed_out,omitempty"`   // peers whose pools likely had no connection for it in time
	FirstToken float64     `json:"first_token,omitempty"` // sent to the client, in an event stream
	Forwards   []float64   `json:"forwards,omitempty"`    // seconds from the arrival of tokens to the next bytes sent to the client
	Complete   bool        `json:"complete"`
	Followed   bool        `json:"followed"` // through every execution context; else on_cpu, pool_wait and loop_wait are in unexplained
	Missing    []string    `json:"missing,omitempty"`
}

type lineStage struct {
	Stage   string                  `json:"stage"`
	Peer    string                  `json:"peer,omitempty"`
	Seconds float64                 `json:"seconds"`
	Reasons map[request.Why]float64 `json:"reasons,omitempty"` // of unexplained: seconds of which something is known
}

type lineCall struct {
	Peer         string   `json:"peer"`
	Operation    string   `json:"operation"`
	Connection   uint64   `json:"connection"`
	Stream       uint32   `json:"stream,omitempty"` // of an HTTP/2 connection
	LocalPort    uint16   `json:"local_port"`
	Intent       float64  `json:"intent"`
	Sent         float64  `json:"sent"`
	FirstArrived float64  `json:"first_arrived"`
	LastArrived  float64  `json:"last_arrived"`
	FirstRead    float64  `json:"first_read"`
	LastRead     float64  `json:"last_read"`
	PoolWait     float64  `json:"pool_wait"`
	Unsure       float64  `json:"pool_wait_unsure,omitempty"` // of it, at its begin: it may have been a wait for something else
	Connect      float64  `json:"connect,omitempty"`
	Basis        string   `json:"basis"`
	Error        string   `json:"error,omitempty"`
	LLM          *lineLLM `json:"llm,omitempty"`
}

type lineLLM struct {
	Model        string  `json:"model"`
	FirstToken   float64 `json:"first_token"` // arrived; 0: none, or the answer came in one piece
	LastToken    float64 `json:"last_token"`
	Chunks       int     `json:"chunks"` // that carried tokens
	InputTokens  int     `json:"input_tokens"`
	OutputTokens int     `json:"output_tokens"`
	TokensFrom   string  `json:"tokens_from"` // protocol or chunks
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// Write adds a request. The first error is kept and returned by Flush.
func (l *Lines) Write(r *request.Request) {
	if l.err != nil {
		return
	}
	out := line{
		ID: r.ID, Endpoint: r.Endpoint, Status: r.Status, PID: r.PID, Start: seconds(r.Start), Seconds: seconds(r.Total()),
		Stages: []lineStage{}, Calls: []lineCall{}, TimedOut: r.TimedOut, Complete: len(r.Missing) == 0, Followed: r.Followed, Missing: r.Missing,
	}
	sums := map[request.Span]int64{} // by stage and peer
	for _, s := range r.Spans {
		sums[request.Span{Stage: s.Stage, Peer: s.Peer}] += s.End - s.Start
	}
	for k, ns := range sums {
		out.Stages = append(out.Stages, lineStage{k.Stage, k.Peer, seconds(ns), reasons(r, k.Stage)})
	}
	slices.SortFunc(out.Stages, func(a, b lineStage) int {
		return cmp.Or(cmp.Compare(slices.Index(request.Stages, a.Stage), slices.Index(request.Stages, b.Stage)), cmp.Compare(a.Peer, b.Peer))
	})
	for _, k := range r.Calls {
		out.Calls = append(out.Calls, lineCall{
			k.Peer.System, k.Operation, k.Connection, k.Stream, k.LocalPort, seconds(k.Intent), seconds(k.Sent), seconds(k.FirstArrived),
			seconds(k.LastArrived), seconds(k.FirstRead), seconds(k.LastRead), seconds(k.PoolWait), seconds(k.PoolWaitUnsure), seconds(k.Connect), k.Basis, k.Error, llmOf(k.LLM),
		})
	}
	if r.FirstToken > 0 {
		out.FirstToken = seconds(r.FirstToken)
	}
	for _, ns := range r.Forwards {
		out.Forwards = append(out.Forwards, seconds(ns))
	}
	l.err = l.enc.Encode(out)
}

func llmOf(m *request.LLM) *lineLLM {
	if m == nil {
		return nil
	}
	out := &lineLLM{Model: m.Model, Chunks: m.Chunks, InputTokens: m.InputTokens, OutputTokens: m.OutputTokens, TokensFrom: "chunks"}
	if m.FromProtocol {
		out.TokensFrom = "protocol"
	}
	if n := len(m.Tokens); n > 0 {
		out.FirstToken, out.LastToken = seconds(m.Tokens[0]), seconds(m.Tokens[n-1])
	}
	return out
}

func reasons(r *request.Request, stage string) map[request.Why]float64 {
	if stage != request.Unexplained || len(r.Reasons) == 0 {
		return nil
	}
	out := map[request.Why]float64{}
	for _, why := range r.Reasons {
		out[why.Why] = seconds(why.NS)
	}
	return out
}

// Flush writes what is buffered and returns the first error of all writes.
func (l *Lines) Flush() error {
	if err := l.w.Flush(); l.err == nil {
		l.err = err
	}
	return l.err
}
