package load

import (
	"context"
	"slices"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// Sender sends one request and reads its answer to the end. The context ends when the request
// is to be given up; the request's own timeout is the sender's business.
// Safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, r *Request) Answer
}

// Request is one request, rendered.
type Request struct {
	Method  string
	URL     string
	Headers []RenderedHeader
	Body    []byte // nil: none
	ID      string // value of x-request-id, unique in the world
	Stream  scenario.Stream
	Check   scenario.Check
	Timeout time.Duration // of the whole request
}

// RenderedHeader is one header line.
type RenderedHeader struct{ Name, Value string }

// Answer is what came back, and when.
type Answer struct {
	Sent       time.Time // right before the request was handed to the network
	FirstByte  time.Time // status and headers are there; zero: never
	FirstEvent time.Time // of a stream
	FirstToken time.Time // of a stream: the first event that carries text of a language model
	End        time.Time // last byte, or the failure
	Gaps       []time.Duration
	Tokens     int // token events of a stream, also those beyond the kept gaps
	Status     int // 0: no answer
	Bytes      int64
	Redirects  int
	Failure    Failure
	Aborted    bool // given up from outside; nothing else of the answer counts
}

// maxGaps bounds the gaps between tokens that are kept of one stream.
const maxGaps = 4096

// judge applies the task's check to a complete answer.
func (a *Answer) judge(c scenario.Check, reason string) {
	switch {
	case a.Failure.Failed():
	case len(c.Status) > 0 && slices.Contains(c.Status, a.Status):
	case a.Status >= 400:
		a.Failure = Failure{Kind: HTTPStatus, Status: a.Status, Text: clip(reason)}
	case len(c.Status) > 0:
		a.Failure = Failure{Kind: CheckFailed, Text: "expected " + statusList(c.Status) + ", got " + statusList([]int{a.Status})}
	}
}
