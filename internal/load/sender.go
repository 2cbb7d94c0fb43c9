package load

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// Sender opens sessions on the system under test. Safe for concurrent use.
type Sender interface {
	// Session returns the sending side of one worker. When ctx ends, a request that is under
	// way is given up.
	Session(ctx context.Context) Session
	// Close drops what the sender keeps. Its sessions are closed before.
	Close()
}

// Session sends the requests of one worker, one after the other. Connection, cookies and
// buffers are its own: not shared between goroutines.
type Session interface {
	// Send sends one request and reads its answer to the end.
	Send(r *Request) Answer
	Close()
}

// Request is one request, rendered. It is lent: a sender keeps nothing of it.
type Request struct {
	Method  string
	Target  []byte // path and query behind the base URL
	Headers []RenderedHeader
	Body    []byte // nil: none
	ID      []byte // value of x-request-id, unique in the world
	// Traceparent is the value of that header; nil: none is sent.
	Traceparent []byte
	Stream      scenario.Stream
	Check       scenario.Check
	Keep        scenario.Keep // what of the answer is asked for
	Timeout     time.Duration // of the whole request
}

// RenderedHeader is one header line.
type RenderedHeader struct {
	Name  string
	Value []byte
}

// Answer is what came back, and when.
type Answer struct {
	// Sent is right before the request's first byte is handed to the network. Where there is no
	// connection, connecting begins then, as Locust counts it too; Connect says how much it was.
	Sent       time.Time
	Connect    time.Duration // of opening a connection for it; 0: one was open
	FirstByte  time.Time     // of the answer, without interim ones (1xx); zero: never
	FirstEvent time.Time     // of a stream
	FirstToken time.Time     // of a stream: the first event that carries text of a language model
	End        time.Time     // last byte, or the failure
	Gaps       []time.Duration
	Tokens     int // token events of a stream, also those beyond the kept gaps
	Status     int // 0: no answer
	Bytes      int64
	Redirects  int
	Resent     int // times that it was sent again because the server had closed the connection
	Failure    Failure
	Aborted    bool // given up from outside; nothing else of the answer counts

	// What Request.Keep asks for. Body is lent until the session's next request.
	Header http.Header
	Body   []byte
}

// maxGaps bounds the gaps between tokens that are kept of one stream.
const maxGaps = 4096

// judge applies the task's check to a complete answer. reason and retryAfter are the server's.
func (a *Answer) judge(c scenario.Check, reason, retryAfter []byte) {
	switch {
	case a.Failure.Failed():
	case len(c.Status) > 0 && slices.Contains(c.Status, a.Status):
	case a.Status >= 400:
		a.Failure = Failure{Kind: HTTPStatus, Status: a.Status, Text: clip(string(reason)), Wait: waitFor(retryAfter)}
	case len(c.Status) > 0:
		a.Failure = Failure{Kind: CheckFailed, Text: "expected " + statusList(c.Status) + ", got " + statusList([]int{a.Status})}
	}
}

// waits are the times that Failure.Wait is rounded up to, so that a server that counts down
// does not make each failure another one.
var waits = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour}

// waitFor reads retry-after; 0 when it is not there or is a date.
func waitFor(value []byte) time.Duration {
	n, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil || n == 0 {
		return 0
	}
	i, _ := slices.BinarySearch(waits, time.Duration(n)*time.Second)
	return waits[min(i, len(waits)-1)]
}
