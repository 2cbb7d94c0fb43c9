package request

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// asked is a request whose context 3 is on the loop, ready to call; peers are on sockets.
func asked() *tape {
	return newTape().at(0.1).loop().midway(1).at(1).enter(2).in(1, 1, get("/a")).copied(3).at(2).enter(3)
}

// answered ends it.
func answered(p *tape) *tape { return p.enter(3).reply(1, ok) }

// told writes a call: "redis GET 1 2 lookups 1 hits 1 error X": sent and last arrived, in ms.
func told(k *Call) string {
	out := fmt.Sprintf("%s %s %g..%g", k.Peer.System, k.Operation, float64(k.Sent)/1e6, float64(k.LastArrived)/1e6)
	if k.Lookups > 0 {
		out += fmt.Sprintf(" hits %d/%d", k.Hits, k.Lookups)
	}
	if k.Error != "" {
		out += " error " + k.Error
	}
	if m := k.LLM; m != nil {
		out += fmt.Sprintf(" %s %s", m.Operation, m.Model)
		for _, at := range m.Tokens {
			out += fmt.Sprintf(" %g", float64(at)/1e6)
		}
		out += fmt.Sprintf(" tokens %d/%d", m.InputTokens, m.OutputTokens)
	}
	return out
}

func TestOutbound(t *testing.T) {
	const hello = "\x00\x03\xb1\x01\xa0\x00\x00"
	record := "\x00\x04\xb1\x71\x91\x01\x00\x00"
	success := "\x00\x03\xb1\x70\xa0\x00\x00"
	failure := "\x00\x2f\xb1\x7f\xa1\x84code\xd0\x25Neo.ClientError.Statement.SyntaxError\x00\x00"
	run := "\x00\x0e\xb3\x10\x89MATCH (n)\xa0\xa0\x00\x00"
	pull := "\x00\x06\xb1\x3f\xa1\x81n\x01\x00\x00"
	chat := `{"model":"smol","messages":[{"role":"user","content":"hi"}],"stream":true}`
	long := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 900) + `"}],"model":"smol","stream":true}`
	tests := map[string]struct {
		tape *tape
		want []string
		lost string
	}{
		"redis: a hit and a miss": {
			answered(asked().known(5, 6379).at(3).ask(5, command("GET", "k")).at(4).answer(5, 3.5, hit).at(5).ask(5, command("GET", "k")).at(6).answer(5, 5.5, miss)),
			[]string{"redis GET 3..3.5 hits 1/1", "redis GET 5..5.5 hits 0/1"}, ""},
		"redis: handshake and command in one write": {
			answered(asked().dial(5, 6379).at(3).ask(5, command("HELLO", "3")+command("GET", "k")).at(4).answer(5, 3.5, "%1\r\n+a\r\n+b\r\n"+hit)),
			[]string{"redis GET 3..3.5 hits 1/1"}, ""},
		"redis: handshake before": {
			answered(asked().dial(5, 6379).at(2.1).ask(5, command("HELLO", "3")).at(2.6).answer(5, 2.5, "%1\r\n+a\r\n+b\r\n").at(3).ask(5, command("SET", "k", "v")).at(4).answer(5, 3.5, "+OK\r\n")),
			[]string{"redis SET 3..3.5"}, ""},
		"redis: a pipeline is one call": {
			answered(asked().known(5, 6379).at(3).ask(5, command("GET", "a")+command("GET", "b")+command("INCR", "c")).at(4).answer(5, 3.5, hit).at(5).answer(5, 4.5, miss+":1\r\n")),
			[]string{"redis pipeline 3..4.5 hits 1/2"}, ""},
		"redis: two calls out at once, answered in one piece": {
			answered(asked().known(5, 6379).at(3).ask(5, command("GET", "a")).at(4).ask(5, command("GET", "b")).at(6).answer(5, 5, hit+miss)),
			[]string{"redis GET 3..5 hits 1/1", "redis GET 4..5 hits 0/1"}, ""},
		"redis: a transaction": {
			answered(asked().known(5, 6379).at(3).ask(5, command("MULTI")+command("GET", "a")+command("EXEC")).at(4).answer(5, 3.5, "+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n")),
			[]string{"redis transaction 3..3.5"}, ""},
		"redis: a subscription is confirmed by a push, messages are nobody's": {
			answered(asked().known(5, 6379).at(3).ask(5, command("SUBSCRIBE", "a")).at(4).answer(5, 3.5, ">3\r\n+subscribe\r\n+a\r\n:1\r\n").at(5).answer(5, 4.5, ">3\r\n+message\r\n+a\r\n+b\r\n")),
			[]string{"redis SUBSCRIBE 3..3.5"}, ""},
		"redis: a command that waits on purpose": {
			answered(asked().known(5, 6379).at(3).ask(5, command("BLPOP", "a", "1")).at(9).answer(5, 8.5, "*-1\r\n")),
			[]string{"redis BLPOP 3..8.5"}, ""},
		"redis: MGET": {
			answered(asked().known(5, 6379).at(3).ask(5, command("MGET", "a", "b", "c")).at(4).answer(5, 3.5, "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n1\r\n")),
			[]string{"redis MGET 3..3.5 hits 2/3"}, ""},
		"redis: an error": {
			answered(asked().known(5, 6379).at(3).ask(5, command("GET", "a")).at(4).answer(5, 3.5, "-WRONGTYPE no\r\n")),
			[]string{"redis GET 3..3.5 error WRONGTYPE"}, ""},
		"redis: the answer in pieces": {
			answered(asked().known(5, 6379).at(3).ask(5, command("GET", "a")).at(4).answer(5, 3.5, "$10\r\n12345").at(6).answer(5, 5.5, "67890\r\n")),
			[]string{"redis GET 3..5.5 hits 1/1"}, ""},
		"redis: the connection ends": {
			answered(asked().known(5, 6379).at(3).ask(5, command("GET", "a")).at(4).close(5)),
			[]string{"redis GET 3..4 error connection closed without an answer"}, ""},
		"redis: joined in the middle of an answer": {
			answered(asked().known(5, 6379).at(2).answer(5, 1, "678\r\n").at(3).ask(5, command("GET", "a")).at(4).answer(5, 3.5, hit)),
			[]string{"redis GET 3..3.5 hits 1/1"}, ""},
		"bolt": {
			answered(asked().dial(5, 7687).at(2.1).ask(5, "\x60\x60\xb0\x17\x00\x00\x04\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00").at(2.2).answer(5, 2.2, "\x00\x00\x04\x05").
				at(2.3).ask(5, hello).at(2.4).answer(5, 2.4, success).at(3).ask(5, run+pull).at(4).answer(5, 3.5, success).at(5).answer(5, 4.5, record+record+success)),
			[]string{"neo4j MATCH 3..4.5"}, ""},
		"ollama: the model named at the end of a long body": {
			answered(asked().known(5, 11434).at(3).ask(5, fmt.Sprintf("POST /api/chat HTTP/1.1\r\nHost: o:11434\r\nContent-Length: %d\r\n\r\n%s", len(long), long)).
				at(6).answer(5, 5.5, "HTTP/1.1 200 OK\r\nContent-Length: 48\r\n\r\n"+`{"message":{"content":"a"},"eval_count":1}`+"      ")),
			[]string{"ollama POST /api/chat 3..5.5 chat smol tokens 0/1"}, ""},
		"bolt: telemetry before a query, and more records asked for": {
			answered(asked().known(5, 7687).at(3).ask(5, "\x00\x03\xb1\x54\x01\x00\x00"+run+pull).at(4).answer(5, 3.5, success+success+record+success).at(5).ask(5, pull).at(6).answer(5, 5.5, record+success)),
			[]string{"neo4j MATCH 3..3.5", "neo4j PULL 5..5.5"}, ""},
		"bolt: records that are not captured between those that are": {
			answered(asked().known(5, 7687).at(3).ask(5, run+pull).at(4).answer(5, 3.5, success+strings.Repeat(record, 300)+success)),
			[]string{"neo4j MATCH 3..3.5"}, ""},
		"bolt: an answer among what is not captured": {
			answered(asked().known(5, 7687).at(3).ask(5, run+pull+run+pull).at(4).answer(5, 3.5, success+strings.Repeat(record, 200)+success+success+strings.Repeat(record, 100)+success).at(6).close(5)),
			[]string{"neo4j MATCH 3..3.5"}, "message boundary lost"},
		"bolt: a failure": {
			answered(asked().known(5, 7687).at(3).ask(5, run+pull).at(4).answer(5, 3.5, failure+"\x00\x02\xb0\x7e\x00\x00")),
			[]string{"neo4j MATCH 3..3.5 error SyntaxError"}, "*"},
		"http": {
			answered(asked().known(5, 9000).at(3).ask(5, get("/users/42?x=1")).at(4).answer(5, 3.5, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab").at(6).answer(5, 5.5, "cd")),
			[]string{"http GET /users/{id} 3..5.5"}, ""},
		"http: an error": {
			answered(asked().known(5, 9000).at(3).ask(5, get("/x")).at(4).answer(5, 3.5, "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nab").at(6).answer(5, 5.5, "cd")),
			[]string{"http GET /x 3..5.5 error 503"}, ""},
		"http: HEAD, then GET": {
			answered(asked().known(5, 9000).at(3).ask(5, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n").at(4).answer(5, 3.5, "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n").at(5).ask(5, get("/y")).at(6).answer(5, 5.5, ok)),
			[]string{"http HEAD /x 3..3.5", "http GET /y 5..5.5"}, ""},
		"qdrant by REST": {
			answered(asked().known(5, 6333).at(3).ask(5, "POST /collections/docs/points/query HTTP/1.1\r\nHost: q:6333\r\nContent-Length: 2\r\n\r\n{}").at(4).answer(5, 3.5, ok)),
			[]string{"qdrant POST /collections/{name}/points/query 3..3.5"}, ""},
		"a language model, the body in a second piece": {
			answered(asked().known(5, 11434).at(3).ask(5, fmt.Sprintf("POST /api/chat HTTP/1.1\r\nHost: o:11434\r\nContent-Length: %d\r\n\r\n", len(chat))).at(3.5).ask(5, chat).
				at(5).answer(5, 4, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n").
				at(6).answer(5, 5.5, chunk(`{"model":"smol","message":{"role":"assistant","content":"a"},"done":false}`+"\n")).
				at(8).answer(5, 7.5, chunk(`{"model":"smol","message":{"role":"assistant","content":"b"},"done":false}`+"\n")).
				at(9).answer(5, 9, chunk(`{"model":"smol","message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":7,"eval_count":2}`+"\n")+"0\r\n\r\n")),
			[]string{"ollama POST /api/chat 3.5..9 chat smol 5.5 7.5 tokens 7/2"}, ""},
		"a language model, all in one piece": {
			answered(asked().known(5, 11434).at(3).ask(5, fmt.Sprintf("POST /api/chat HTTP/1.1\r\nHost: o:11434\r\nContent-Length: %d\r\n\r\n%s", len(chat), chat)).
				at(6).answer(5, 5.5, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk(`{"model":"smol","message":{"role":"assistant","content":"a"},"done":false}`+"\n")+"0\r\n\r\n")),
			[]string{"ollama POST /api/chat 3..5.5 chat smol 5.5 tokens 0/1"}, ""},
		"nothing that we know": {
			answered(asked().known(5, 5432).at(3).ask(5, "\x00\x00\x00\x08\x04\xd2\x16\x2f").at(4).answer(5, 3.5, "N").at(5).ask(5, "abc")),
			nil, "not recognised"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, tr := play(t, tt.tape.at(20).loop())
			if len(f.requests) != 1 {
				t.Fatalf("%d requests", len(f.requests))
			}
			var got []string
			for _, k := range f.requests[0].Calls {
				got = append(got, told(k))
				if k.Endpoint != "GET /a" || k.Basis != "context" || !k.Finished || k.Connection != 5 || k.PID != apiPID {
					t.Errorf("call %+v", *k)
				}
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("calls\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
			if l := tr.Losses(); tt.lost != "*" && (len(l) > 0) != (tt.lost != "") || tt.lost != "*" && len(l) > 0 && !strings.Contains(l[0].Reason, tt.lost) {
				t.Errorf("losses %v, want %q", l, tt.lost)
			}
			if tr.Orphans() != 0 {
				t.Errorf("%d orphans", tr.Orphans())
			}
		})
	}
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

func TestConnect(t *testing.T) {
	tests := map[string]struct {
		tape    *tape
		stages  string
		connect float64 // of the call, in ms
	}{
		"made for the call": {
			asked().at(3).dial(5, 6379).at(3).loop().at(6).slept(3).enter(9).enter(3).at(7).ask(5, command("GET", "k")).at(7).loop().at(8).slept(7).enter(4).answer(5, 8, hit).enter(3).at(9).reply(1, ok),
			"on_cpu 2, connect redis 3, on_cpu 1, upstream redis 1, on_cpu 1", 4},
		"with its handshake": {
			asked().at(3).dial(5, 6379).loop().at(4).slept(3).enter(3).ask(5, command("HELLO", "3")).loop().at(6).slept(4).enter(4).answer(5, 6, "+OK\r\n").enter(3).ask(5, command("GET", "k")).loop().
				at(8).slept(6).enter(4).answer(5, 8, hit).enter(3).at(9).reply(1, ok),
			"on_cpu 2, connect redis 3, upstream redis 2, on_cpu 1", 3},
		"made long before by nobody that we know, first used after a sleep": {
			newTape().at(0.1).loop().dial(5, 6379).at(0.2).ask(5, command("HELLO", "3")).at(0.3).answer(5, 0.3, "+OK\r\n").midway(1).
				at(1).enter(2).in(1, 1, get("/a")).copied(3).at(2).enter(3).copied(6).at(3).loop().at(13).slept(3).enter(6).enter(3).ask(5, command("GET", "k")).loop().
				at(14).slept(13).enter(4).answer(5, 14, hit).enter(3).at(15).reply(1, ok),
			"on_cpu 2, unexplained 10, upstream redis 1, on_cpu 1", 0},
		"made by another request that left it": {
			newTape().at(0.1).loop().midway(9).enter(20).in(9, 0.1, get("/b")).copied(30).enter(30).dial(5, 6379).at(0.2).ask(5, command("HELLO", "3")).at(0.3).answer(5, 0.3, "+OK\r\n").reply(9, ok).midway(1).
				at(1).loop().enter(2).in(1, 1, get("/a")).copied(3).at(2).enter(3).copied(6).at(3).loop().at(13).slept(3).enter(6).enter(3).ask(5, command("GET", "k")).loop().
				at(14).slept(13).enter(4).answer(5, 14, hit).enter(3).at(15).reply(1, ok),
			"on_cpu 2, unexplained 10, upstream redis 1, on_cpu 1", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := play(t, tt.tape)
			r := f.requests[len(f.requests)-1]
			if got := stages(r); got != tt.stages {
				t.Errorf("stages %s\nwant   %s", got, tt.stages)
			}
			if len(r.Calls) != 1 {
				t.Fatalf("calls %v", operations(r))
			}
			k := r.Calls[0]
			if got := float64(k.Connect) / 1e6; got != tt.connect {
				t.Errorf("connect %g ms, want %g", got, tt.connect)
			}
			if tt.connect == 0 && k.Intent < ms(2) {
				t.Errorf("wanted at %d, before there was a request", k.Intent)
			}
		})
	}
}

// Waits for a connection, and what looks like one and is none.
func TestPoolWait(t *testing.T) {
	// Connection 5 is the pool. Another request, in context 30, holds it from 1.5 to 8 ms.
	held := func() *tape {
		return newTape().at(0.1).loop().midway(9).midway(1).known(5, 6379).enter(20).in(9, 0.1, get("/b")).copied(30).
			at(0.5).enter(30).ask(5, command("GET", "z")).loop().at(0.6).slept(0.5).enter(4).answer(5, 0.6, hit).
			at(1.5).enter(30).ask(5, command("BLPOP", "x", "1")).at(1.6).loop().
			at(2).slept(1.6).enter(2).in(1, 2, get("/a")).copied(3).at(2).enter(3)
	}
	released := func(p *tape) *tape { return p.at(8).slept(3).enter(4).answer(5, 8, "*-1\r\n") }
	call := func(p *tape) *tape {
		return p.at(9).enter(3).ask(5, command("GET", "k")).loop().at(10).slept(9).enter(4).answer(5, 10, hit).enter(3).reply(1, ok)
	}
	tests := map[string]struct {
		tape *tape
		from float64
		wait float64
	}{
		"it waits": {call(released(held().at(3).loop()).enter(30).at(8.5).loop()), 3, 6},
		"it sleeps, and finds the connection free": {
			call(released(held().copied(6).at(3).loop()).enter(30).at(8.5).loop().at(8.9).slept(8.5).enter(6).loop()), 0, 0},
		"it works while the connection is given back by a thread": {
			call(held().at(8).on(200).as(30).answer(5, 8, "*-1\r\n").on(loopTID).as(3)), 0, 0},
		"another connection lies idle": {
			call(released(newTape().at(0.04).loop().at(0.05).known(6, 6379).ask(6, command("GET", "q")).at(0.06).answer(6, 0.06, hit).merge(held()).at(3).loop()).enter(30).at(8.5).loop()), 0, 0},
		"it runs, and needs another turn of the loop before it sends": {
			call(released(held().at(3).loop()).at(8).enter(30).at(8.5).loop().at(8.6).enter(3).at(8.7).loop()), 3, 6},
		"a task that it started and did not wait for sleeps meanwhile, and calls": {
			call(released(held().copied(7).at(3).loop().at(3.1).enter(7).known(6, 7777).copied(8).loop().at(5).slept(3.1).enter(8).loop().at(5.1).enter(7).
				ask(6, get("/x")).loop().at(6).slept(5.1).enter(50).answer(6, 6, ok).loop()).enter(30).at(8.5).loop()), 3, 6},
		"a worker thread wakes it": {
			call(released(held().at(3).loop()).enter(30).at(8.2).loop().at(8.4).slept(8.2).enter(50).loop()), 3, 6},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := play(t, tt.tape)
			r := f.calling(t, "GET /a")
			k := r.Calls[len(r.Calls)-1]
			if got := float64(k.PoolWait) / 1e6; got != tt.wait || k.PoolWaitStart != ms(tt.from) {
				t.Errorf("waited %g ms from %g, want %g from %g; %s", got, float64(k.PoolWaitStart)/1e6, tt.wait, tt.from, stages(r))
			}
			waited := 0
			for _, c := range f.connections {
				if c.Change == Waited {
					waited++
					if c.End-c.Time != k.PoolWait || c.Endpoint != "GET /a" || c.Peer.System != "redis" {
						t.Errorf("change %+v", c)
					}
				}
			}
			if (waited == 1) != (tt.wait > 0) {
				t.Errorf("%d waits were told to the pool", waited)
			}
		})
	}
}

// It runs in between, and waits again: that may have been a lock, so the wait is sure only from then on.
func TestWaitAfterALock(t *testing.T) {
	f, _ := play(t, newTape().at(0.1).loop().midway(9).midway(1).known(5, 6379).enter(20).in(9, 0.1, get("/b")).copied(30).
		at(0.5).enter(30).ask(5, command("GET", "z")).loop().at(0.6).slept(0.5).enter(4).answer(5, 0.6, hit).
		at(1.5).enter(30).ask(5, command("BLPOP", "x", "1")).at(1.6).loop().
		at(2).slept(1.6).enter(2).in(1, 2, get("/a")).copied(3).enter(3).at(3).loop().
		at(5).slept(3).enter(60).loop().at(5.5).enter(3).at(6).loop().
		at(8).slept(6).enter(4).answer(5, 8, "*-1\r\n").loop().
		at(9).enter(3).ask(5, command("GET", "k")).loop().at(10).slept(9).enter(4).answer(5, 10, hit).enter(3).reply(1, ok))
	k := f.requests[len(f.requests)-1].Calls[0]
	if k.PoolWait != ms(6) || k.PoolWaitUnsure != ms(3) {
		t.Errorf("waited %d ns, %d of it unsure, want 6 and 3 ms", k.PoolWait, k.PoolWaitUnsure)
	}
	for _, c := range f.connections {
		if c.Change == Waited && (c.End-c.Time != ms(6) || c.Unsure != ms(3)) {
			t.Errorf("the pool was told %+v", c)
		}
	}
}

// merge goes on with another tape.
func (p *tape) merge(o *tape) *tape {
	o.events = append(p.events, o.events...)
	return o
}

func TestConnectionChanges(t *testing.T) {
	f, _ := play(t, answered(asked().dial(5, 6379).at(3).ask(5, command("HELLO", "3")).at(4).answer(5, 4, "+OK\r\n").
		at(5).ask(5, command("GET", "k")).at(6).answer(5, 6, hit).at(7).close(5)))
	var got []string
	for _, c := range f.connections {
		got = append(got, fmt.Sprintf("%s %g %s", [...]string{"opened", "closed", "busy", "free", "waited", "limit"}[c.Change], float64(c.Time)/1e6, c.Endpoint))
		if c.Peer != (Peer{"redis", "127.0.0.1:6379"}) || c.ID != 5 || c.PID != apiPID {
			t.Errorf("change %+v", c)
		}
	}
	want := "opened 3 , busy 5 GET /a, free 6 GET /a, closed 7 "
	if strings.Join(got, ", ") != want {
		t.Errorf("changes %q, want %q", strings.Join(got, ", "), want)
	}
	if f.connections[0].Made.Total != ms(1) {
		t.Errorf("making it took %+v, want 1 ms", f.connections[0].Made)
	}
}

// A call that its request does not wait for is told alone, with its endpoint.
func TestCallOutlivesRequest(t *testing.T) {
	f, tr := play(t, answered(asked().known(5, 6379).copied(7).enter(7).at(3).ask(5, command("SET", "k", "v"))).at(5).loop().at(9).slept(5).enter(4).answer(5, 9, "+OK\r\n"))
	if len(f.requests) != 1 || len(f.requests[0].Calls) != 0 || tr.Orphans() != 0 {
		t.Fatalf("requests %v, %d orphans", f.requests, tr.Orphans())
	}
	if len(f.calls) != 1 || f.calls[0].Endpoint != "GET /a" || !f.calls[0].Finished {
		t.Errorf("calls %v", f.calls)
	}
}

func TestOrphan(t *testing.T) {
	f, tr := play(t, newTape().at(1).loop().enter(70).known(5, 6379).ask(5, command("PING")).at(2).answer(5, 2, "+PONG\r\n"))
	if len(f.calls) != 1 || f.calls[0].Endpoint != "" || tr.Orphans() != 1 {
		t.Errorf("calls %v, %d orphans", f.calls, tr.Orphans())
	}
}

// Worker threads: the context is entered there, and left without a trap.
func TestWorkerThread(t *testing.T) {
	p := asked().copied(7).loop().on(200).at(3).enter(7).dial(5, 6379).at(3.5).ask(5, command("GET", "k")).
		add(event.Event{Type: event.Sleep, Time: ms(4), Context: 7}).
		at(6).off(4, 5.5, 0).answer(5, 5, hit).
		add(event.Event{Type: event.Sleep, Time: ms(7), Context: 8}). // it has left the context: the work is done
		at(30).off(7, 29, 0).
		on(loopTID).at(9).slept(2).enter(3).at(10).reply(1, ok)
	slicesByTime(p.events)
	f, _ := play(t, p)
	if len(f.requests) != 1 {
		t.Fatalf("%d requests", len(f.requests))
	}
	r := f.requests[0]
	if want := "on_cpu 1, loop_wait 1, on_cpu 1, blocked 1.5, run_queue 0.5, on_cpu 1, loop_wait 2, on_cpu 1"; stages(r) != want {
		t.Errorf("stages %s\nwant   %s", stages(r), want)
	}
}

// Without contexts (a threaded server) the thread is the context.
func TestThreadAsContext(t *testing.T) {
	p := newTape().on(201).midway(1).known(5, 6379).at(1).in(1, 1, get("/a")).at(2).ask(5, command("GET", "k")).
		at(5).off(2.5, 4.5, 0).answer(5, 4, hit).at(6).reply(1, ok)
	f, _ := play(t, p)
	if len(f.requests) != 1 || len(f.requests[0].Calls) != 1 {
		t.Fatalf("requests %v", f.requests)
	}
	r := f.requests[0]
	if k := r.Calls[0]; k.Basis != "thread" || k.Endpoint != "GET /a" {
		t.Errorf("call %+v", *k)
	}
	if want := "on_cpu 1.5, blocked 2, run_queue 0.5, on_cpu 1"; stages(r) != want {
		t.Errorf("stages %s\nwant   %s", stages(r), want)
	}
}

// A connection joined midway speaks HTTP on the port that is Redis' by habit.
func TestMidwayHTTPOnAnyPort(t *testing.T) {
	for _, port := range []uint16{6379, 7687} {
		f, tr := play(t, newTape().at(0.1).loop().midway(1).known(5, port).at(1).enter(10).in(1, 1, get("/a")).copied(30).
			at(2).enter(30).ask(5, get("/points")).at(4).answer(5, 3, ok).at(5).enter(30).reply(1, ok))
		if len(f.requests[0].Calls) != 1 || f.requests[0].Calls[0].Operation != "GET /points" || len(tr.Losses()) > 0 {
			t.Errorf("port %d: calls %v, losses %v", port, operations(f.requests[0]), tr.Losses())
		}
	}
}

// A call made while calls are not linked is not one that belongs to no request.
func TestCallsApart(t *testing.T) {
	f := &facts{}
	tr := newTracker(f, false)
	p := newTape().at(0.1).loop().known(2, 6379).midway(1).at(2).in(1, 2, get("/a")).ask(2, command("GET", "k")).at(3).answer(2, 3, hit).reply(1, ok).
		at(5).in(1, 5, get("/a")).ask(2, command("GET", "k")).at(6).answer(2, 6, hit).reply(1, ok)
	tr.Turn(Apart, ms(1))
	tr.Turn(Followed, ms(4))
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	if len(f.requests) != 2 || loss(tr, "call not linked: made at the precision sockets") != 1 || tr.Orphans() != 1 {
		t.Errorf("%d requests, losses %v, %d orphans", len(f.requests), tr.Losses(), tr.Orphans())
	}
}
