package collect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

const sec = 1_000_000_000

// answered is a request of 100 ms that ended at a time in seconds.
func answered(endpoint string, at float64) *request.Request {
	last := int64(at * sec)
	start := last - sec/10
	return &request.Request{
		ID: "r1", Followed: true, PID: 42, Method: "GET", Endpoint: endpoint, Status: 200, Start: start, Arrive: start, First: start + sec/20, Last: last,
		CPU: sec / 50, OffCPU: sec / 100,
		Spans: []request.Span{
			{Stage: request.ReceiveQueue, Start: start, End: start + sec/100},
			{Stage: request.OnCPU, Start: start + sec/100, End: start + 2*sec/100},
			{Stage: request.PoolWait, Peer: "redis", Start: start + 2*sec/100, End: start + 5*sec/100},
			{Stage: request.Upstream, Peer: "redis", Start: start + 5*sec/100, End: start + 9*sec/100},
			{Stage: request.OnCPU, Start: start + 9*sec/100, End: last},
		},
		Calls: []*request.Call{{
			Peer: request.Peer{System: "redis", Address: "10.0.0.1:6379"}, Operation: "GET", LocalPort: 4242, Endpoint: endpoint, Sent: start + 5*sec/100, Intent: start + 2*sec/100,
			FirstArrived: start + 8*sec/100, LastArrived: start + 9*sec/100, PoolWait: 3 * sec / 100, Lookups: 1, Hits: 1, Finished: true, Basis: "context",
		}},
	}
}

func fill(c *Collector, end float64) *recording.Recording {
	r := &recording.Recording{}
	c.Fill(r, int64(end*sec))
	return r
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestEndpoints(t *testing.T) {
	c := New(0, nil)
	c.Request(answered("GET /b", 1))
	c.Request(answered("GET /a", 1.5))
	failed := answered("GET /a", 2)
	failed.Status, failed.Missing, failed.Calls[0].Error, failed.Calls[0].Hits = 0, []string{"closed"}, "ERR", 0
	c.Request(failed)
	r := fill(c, 3)
	if len(r.Endpoints) != 2 || r.Endpoints[0].Endpoint != "GET /a" || c.Requests() != 3 {
		t.Fatalf("endpoints %+v", r.Endpoints)
	}
	e := r.Endpoints[0]
	if e.Requests != 2 || e.Incomplete != 1 || e.Status["200"] != 1 || e.Status["none"] != 1 || !near(e.Latency.Sum, .2) || !near(e.FirstByte.Sum, .1) ||
		!near(e.CPUSeconds, .04) || !near(e.OffCPUSeconds, .02) || e.Cache.Hits != 1 || e.Cache.Misses != 1 {
		t.Errorf("%+v", e)
	}
	sum := 0.0
	var names []string
	for _, s := range e.Stages {
		sum += s.Sum
		names = append(names, strings.TrimSpace(s.Stage+" "+s.Peer))
		if s.Requests != 2 || s.Count != 2 {
			t.Errorf("stage %+v: once for each request", s)
		}
	}
	if !near(sum, e.Latency.Sum) {
		t.Errorf("stages sum to %g s, latency to %g", sum, e.Latency.Sum)
	}
	if got := strings.Join(names, ", "); got != "on_cpu, pool_wait redis, receive_queue, upstream redis" {
		t.Errorf("stages %s", got)
	}
	if len(e.Calls) != 1 {
		t.Fatalf("calls %+v", e.Calls)
	}
	if k := e.Calls[0]; k.Peer != "redis" || k.Operation != "GET" || k.Count != 2 || k.Errors != 1 || k.PerRequest != 1 || !near(k.Latency.Sum, .08) || !near(k.FirstByte.Sum, .06) || !near(k.PoolWait.Sum, .06) {
		t.Errorf("call %+v", k)
	}
}

func TestOnlyTheStretch(t *testing.T) {
	c := New(10*sec, nil)
	c.Request(answered("GET /a", 9.9))
	c.Request(answered("GET /a", 10.05)) // began before, ended in it
	c.Call(&request.Call{Endpoint: "GET /a", LastRead: 9 * sec})
	c.Call(&request.Call{LastRead: 11 * sec})
	if n := c.Requests(); n != 1 {
		t.Errorf("%d requests", n)
	}
	if c.Orphans() != 1 || c.Begin() != 10*sec {
		t.Errorf("%d orphans, begin %d", c.Orphans(), c.Begin())
	}
}

// A recording that was handed out does not change when the collector goes on.
func TestFillIsACopy(t *testing.T) {
	c := New(0, nil)
	c.Request(answered("GET /a", 1))
	before := fill(c, 1)
	was, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	c.Request(answered("GET /a", 1.2))
	c.Request(answered("GET /b", 1.3))
	if is, _ := json.Marshal(before); !bytes.Equal(was, is) {
		t.Errorf("it changed\nfrom %s\nto   %s", was, is)
	}
}

func TestTimeline(t *testing.T) {
	c := New(0, nil)
	c.Request(answered("GET /a", .5))
	slow := answered("GET /a", 2.5)
	slow.Status = 503
	c.Request(slow)
	c.Sample(int64(2.6*sec), 7, 1.5)
	c.Sample(int64(2.7*sec), 3, 1.2)
	r := fill(c, 4)
	if len(r.Timeline) != 3 || r.Timeline[1].Requests != 0 || r.Timeline[2].T != 2 {
		t.Fatalf("timeline %+v", r.Timeline)
	}
	k := r.Timeline[2]
	if k.Requests != 1 || k.Errors != 1 || k.Active != 7 || k.CPU != 1.2 || !near(k.Max, .1) || !near(k.Stages["pool_wait redis"], .03) {
		t.Errorf("tick %+v", k)
	}
	c.Request(answered("GET /a", maxTicks+5))
	if r := fill(c, maxTicks+6); len(r.Timeline) != 3 || r.Endpoints[0].Requests != 3 {
		t.Errorf("%d ticks, %d requests: beyond six hours there are figures and no timeline", len(r.Timeline), r.Endpoints[0].Requests)
	}
}

func TestLLM(t *testing.T) {
	stream := func(model string, own bool, tokens ...int64) *request.Call {
		return &request.Call{
			Peer: request.Peer{System: "ollama"}, Operation: "POST /api/chat", Sent: sec,
			LLM: &request.LLM{Operation: "chat", Model: model, Stream: true, Tokens: tokens, Chunks: len(tokens), OutputTokens: 5, InputTokens: 7, FromProtocol: own},
		}
	}
	c := New(0, nil)
	r := answered("GET /chat", 2)
	embed := stream("minilm", true)
	embed.LLM.Operation = "embeddings"
	r.Calls = []*request.Call{stream("b", true, 1.5*sec, 1.6*sec, 1.8*sec), stream("a", true, 1.1*sec), stream("a", true), embed}
	c.Request(r)
	m := fill(c, 3).Endpoints[0].LLM
	if m == nil || m.Streams != 3 || m.OutputTokens != 15 || m.InputTokens != 21 || m.TokensFrom != "protocol" || strings.Join(m.Models, ",") != "a,b" {
		t.Fatalf("%+v", m)
	}
	if m.TimeToFirstToken.Count != 2 || !near(m.TimeToFirstToken.Sum, .6) || m.TimePerToken.Count != 2 || !near(m.TimePerToken.Sum, .3) {
		t.Errorf("first token %+v, between %+v", m.TimeToFirstToken, m.TimePerToken)
	}
	r.Calls = []*request.Call{stream("a", false, 2*sec)}
	c.Request(r)
	if m := fill(c, 3).Endpoints[0].LLM; m.TokensFrom != "chunks" {
		t.Errorf("tokens from %s: one count was not the protocol's own", m.TokensFrom)
	}
}

func TestLines(t *testing.T) {
	var out bytes.Buffer
	l := NewLines(&out)
	r := answered("GET /a", 1)
	l.Write(r)
	r.Missing = []string{"closed"}
	r.ID, r.Spans, r.Calls = "", nil, nil
	l.Write(r)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `{"id":"r1","endpoint":"GET /a","status":200,"pid":42,"start":0.9,"seconds":0.1,` +
		`"stages":[{"stage":"receive_queue","seconds":0.01},{"stage":"on_cpu","seconds":0.02},{"stage":"pool_wait","peer":"redis","seconds":0.03},{"stage":"upstream","peer":"redis","seconds":0.04}],` +
		`"calls":[{"peer":"redis","operation":"GET","connection":0,"local_port":4242,"intent":0.92,"sent":0.95,"first_arrived":0.98,"last_arrived":0.99,"first_read":0,"last_read":0,"pool_wait":0.03,"basis":"context"}],"complete":true,"followed":true}` + "\n" +
		`{"id":"","endpoint":"GET /a","status":200,"pid":42,"start":0.9,"seconds":0.1,"stages":[],"calls":[],"complete":false,"followed":true,"missing":["closed"]}` + "\n"
	if out.String() != want {
		t.Errorf("lines\n%s\nwant\n%s", out.String(), want)
	}
}

// Two peers in one stage: always in the same order.
func TestLinesOrder(t *testing.T) {
	first := ""
	for range 50 {
		var out bytes.Buffer
		l := NewLines(&out)
		r := answered("GET /a", 1)
		for i := range 6 {
			r.Spans = append(r.Spans, request.Span{Stage: request.Upstream, Peer: fmt.Sprint("p", i), Start: r.Last, End: r.Last + 1})
		}
		l.Write(r)
		_ = l.Flush()
		if first == "" {
			first = out.String()
		}
		if out.String() != first {
			t.Fatal("the same request gives different lines")
		}
	}
}

type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestLinesError(t *testing.T) {
	l := NewLines(full{})
	for range 1000 {
		l.Write(answered("GET /a", 1))
	}
	if err := l.Flush(); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}
