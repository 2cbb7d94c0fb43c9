package request

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol/http2"
)

// wish and start are the two moments of a gRPC call in Python.
func (p *tape) wish(method string) *tape {
	return p.add(event.Event{Type: event.GRPCCall, Head: append([]byte(method), 0), Len: uint32(len(method))})
}

func (p *tape) start(message string) *tape {
	return p.add(event.Event{Type: event.GRPCStart, Head: []byte(message[:min(64, len(message))]), Len: uint32(len(message))})
}

// h2 is one HTTP/2 frame as the kernel side reports it.
func h2(kind, flags byte, stream uint32, payload string) string {
	head := make([]byte, 12)
	head[1], head[2], head[3], head[4] = byte(len(payload)>>8), byte(len(payload)), kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	keep := min(len(payload), map[byte]int{http2.Headers: 512, http2.Data: 64, http2.Settings: 60, http2.RSTStream: 8}[kind])
	binary.LittleEndian.PutUint16(head[10:], uint16(keep))
	return string(head) + payload[:keep]
}

func headers(stream uint32, path string) string {
	return h2(http2.Headers, http2.EndHeaders, stream, "\x83\x86\x04"+string(rune(len(path)))+path)
}

func data(stream uint32, message string) string {
	return h2(http2.Data, http2.EndStream, stream, fmt.Sprintf("\x00\x00\x00\x00%c", byte(len(message)))+message)
}

func trailers(stream uint32, status string) string {
	return h2(http2.Headers, http2.EndHeaders|http2.EndStream, stream, "\x00\x0bgrpc-status\x01"+status)
}

func limit(n uint32) string {
	b := binary.BigEndian.AppendUint32([]byte{0, http2.SettingMaxConcurrentStreams}, n)
	return h2(http2.Settings, 0, 0, string(b))
}

func (p *tape) frames(sock uint64, flags event.Flags, arrived float64, frames ...string) *tape {
	return p.add(event.Event{Type: event.Frames, Flags: flags, Sock: sock, Arrive: ms(arrived), Head: []byte(strings.Join(frames, "")), Len: 1})
}

// put writes frames; got reads them.
func (p *tape) put(sock uint64, frames ...string) *tape {
	return p.frames(sock, event.Sent, 0, frames...)
}
func (p *tape) got(sock uint64, arrived float64, frames ...string) *tape {
	return p.frames(sock, 0, arrived, frames...)
}

const query, upsert = "/qdrant.Points/Query", "/qdrant.Points/Upsert"

// two is a target with two requests under way, in contexts 30 and 40, and a channel on socket 5
// whose frames are moved by thread 300, which has no context.
func two() *tape {
	return newTape().at(0.1).loop().midway(1).midway(2).dial(5, 6334).at(1).enter(10).in(1, 1, get("/a")).copied(30).at(1.1).enter(20).in(2, 1.1, get("/b")).copied(40).at(1.2)
}

func TestGRPCLinks(t *testing.T) {
	// Each context makes a child for its call, as grpc.aio does.
	both := func(first, second string) *tape {
		return two().enter(30).wish(query).copied(31).at(1.3).enter(40).wish(upsert).copied(41).
			at(1.4).enter(31).start(first).at(1.5).enter(41).start(second).at(1.6)
	}
	done := func(p *tape) *tape {
		return p.on(300).as(0).at(5).got(5, 4, trailers(1, "0"), trailers(3, "0")).on(loopTID).at(6).loop().enter(30).reply(1, ok).enter(40).reply(2, ok)
	}
	engine := func(p *tape) *tape { return p.on(300).as(0) }
	tests := map[string]struct {
		tape  *tape
		basis string // of both
	}{
		"written by the call's own context": {
			done(both("aaaa", "bbbb").as(41).put(5, headers(1, upsert), data(1, "bbbb")).as(31).put(5, headers(3, query), data(3, "aaaa"))), "context"},
		"written by an engine thread, the other way round": {
			done(engine(both("aaaa", "bbbb")).put(5, headers(1, upsert), data(1, "bbbb"), headers(3, query), data(3, "aaaa"))), "fingerprint"},
		"DATA comes later": {
			done(engine(both("aaaa", "bbbb")).put(5, headers(1, upsert), headers(3, query)).at(2).put(5, data(3, "aaaa")).put(5, data(1, "bbbb"))), "fingerprint"},
		"messages alike to different methods, and those of one request": {
			done(engine(both("same", "same")).put(5, headers(1, query), data(1, "same"), headers(3, upsert)).at(1.7).enter(40).copied(42).start("same").on(300).as(0).put(5, data(3, "same"))), "fingerprint"},
		"one begins like the other, and is longer": {
			done(engine(both(strings.Repeat("s", 60), strings.Repeat("s", 61))).put(5, headers(1, ""), data(1, strings.Repeat("s", 61)), headers(3, ""), data(3, strings.Repeat("s", 60)))), "fingerprint"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, tr := play(t, tt.tape)
			if len(f.requests) != 2 || tr.Orphans() > 0 || len(tr.Losses()) > 0 {
				t.Fatalf("%d requests, %d orphans, losses %v", len(f.requests), tr.Orphans(), tr.Losses())
			}
			for i, want := range []string{"query", "upsert"} {
				r := f.requests[i]
				if len(r.Calls) != 1 {
					t.Fatalf("%s has calls %v", r.Endpoint, operations(r))
				}
				k := r.Calls[0]
				if !strings.EqualFold(k.Operation, want) && !strings.Contains(strings.ToLower(k.Operation), want) || k.Basis != tt.basis || k.Peer != (Peer{"qdrant", "127.0.0.1:6334"}) {
					t.Errorf("%s: call %s of %v by %q, want %s by %q", r.Endpoint, k.Operation, k.Peer, k.Basis, want, tt.basis)
				}
				if k.LastArrived != ms(4) || k.LastRead != ms(5) || !k.Finished || k.Error != "" || k.PoolWait != 0 {
					t.Errorf("call %+v", *k)
				}
			}
		})
	}
}

// A stream whose message no call began with is of a call that was not seen: it takes no other's place.
func TestStreamOfAnUnseenCall(t *testing.T) {
	f, tr := play(t, two().enter(30).wish(query).copied(31).at(1.3).enter(31).start("aaaa").
		on(300).as(0).at(1.6).put(5, headers(1, query), data(1, "diff")).at(2).put(5, headers(3, query), data(3, "aaaa")).
		at(5).got(5, 4, trailers(1, "0"), trailers(3, "0")).on(loopTID).at(6).loop().enter(30).reply(1, ok).enter(40).reply(2, ok))
	if len(f.calls) != 1 || f.calls[0].Stream != 1 || tr.Orphans() != 1 {
		t.Errorf("calls without a request: %v", f.calls)
	}
	if k := f.requests[0].Calls; len(k) != 1 || k[0].Stream != 3 || k[0].Basis != "fingerprint" {
		t.Errorf("calls of /a: %v", k)
	}
}

// Calls that began before the agent came, or in a gap, may have the same message: what is written
// by another thread is not linked then, until a call has its stream at once.
func TestUnseenStarts(t *testing.T) {
	p := two()
	for i := range p.events {
		if e := &p.events[i]; e.Sock == 5 {
			e.Flags |= event.Midway
		}
	}
	p.enter(30).wish(query).copied(31).at(1.3).enter(31).start("aaaa").on(300).as(0).at(1.6).put(5, headers(1, query), data(1, "aaaa")).
		on(loopTID).at(2).enter(30).wish(query).copied(32).at(2.3).enter(32).start("bbbb").put(5, headers(3, query), data(3, "bbbb")).
		at(3).enter(30).wish(query).copied(33).at(3.3).enter(33).start("cccc").on(300).as(0).at(3.6).put(5, headers(5, query), data(5, "cccc")).
		at(5).got(5, 4, trailers(1, "0"), trailers(3, "0"), trailers(5, "0")).on(loopTID).at(6).loop().enter(30).reply(1, ok).enter(40).reply(2, ok)
	f, _ := play(t, p)
	var basis []string
	for _, k := range f.requests[0].Calls {
		basis = append(basis, k.Basis)
	}
	if got := strings.Join(basis, " "); got != "context fingerprint" || len(f.calls) != 1 {
		t.Errorf("linked by %s, and %d not", got, len(f.calls))
	}
}

// A message that is not captured, or compressed, is like any of its length, or like any.
func TestGRPCUnreadable(t *testing.T) {
	for name, frame := range map[string]string{"not captured": "\x00\x00\x00\x00\x04", "compressed": "\x01\x00\x00\x00\x02zz"} {
		f, tr := play(t, two().enter(30).wish(query).copied(31).at(1.3).enter(40).wish(query).copied(41).at(1.4).enter(31).start("aaaa").at(1.5).enter(41).start("bbbb").
			on(300).as(0).at(1.6).put(5, headers(1, query), h2(http2.Data, 0, 1, frame)).at(5).got(5, 4, trailers(1, "0")).on(loopTID).at(6).loop().enter(30).reply(1, ok).enter(40).reply(2, ok))
		if n := len(f.requests[0].Calls) + len(f.requests[1].Calls); n != 0 || tr.Orphans() != 1 {
			t.Errorf("%s: %d calls linked, %d orphans", name, n, tr.Orphans())
		}
	}
}

// Of calls alike of different requests, none is claimed that an engine thread writes; once a task has run
// again, a later one can be told.
func TestGRPCAlike(t *testing.T) {
	const notLinked = "call not linked: several that began alike were waiting for a stream"
	alike := func() *tape {
		return two().enter(30).wish(query).copied(31).enter(31).start("same").enter(40).wish(query).copied(41).enter(41).start("same").at(2)
	}
	f, tr := play(t, alike().on(300).as(0).put(5, headers(1, query), data(1, "same")).at(3).put(5, headers(3, query), data(3, "same")).
		at(5).got(5, 4, trailers(1, "0"), trailers(3, "0")).on(loopTID).at(6).loop().enter(30).reply(1, ok).enter(40).reply(2, ok))
	if len(f.requests[0].Calls)+len(f.requests[1].Calls) != 0 || tr.Orphans() != 2 || loss(tr, notLinked) != 2 {
		t.Errorf("calls %v %v, %d orphans, losses %v", operations(f.requests[0]), operations(f.requests[1]), tr.Orphans(), tr.Losses())
	}
	f, tr = play(t, alike().on(300).as(0).put(5, headers(1, query), data(1, "same")).at(3).got(5, 3, trailers(1, "0")).
		on(loopTID).at(4).loop().slept(2.1).enter(31).enter(30).reply(1, ok).at(4.1).loop().on(300).as(0).put(5, headers(3, query), data(3, "same")).
		at(5).got(5, 5, trailers(3, "0")).on(loopTID).at(6).loop().slept(4.2).enter(40).reply(2, ok))
	if k := f.requests[1].Calls; len(k) != 1 || k[0].Basis != "fingerprint" || loss(tr, notLinked) != 1 {
		t.Errorf("calls %v, losses %v", k, tr.Losses())
	}
}

func TestGRPCErrors(t *testing.T) {
	tests := map[string]struct {
		end  func(*tape) *tape
		want string
	}{
		"status":     {func(p *tape) *tape { return p.got(5, 3, trailers(1, "5")) }, "grpc-status 5"},
		"reset":      {func(p *tape) *tape { return p.got(5, 3, h2(http2.RSTStream, 0, 1, "\x00\x00\x00\x07")) }, "reset by the server"},
		"cancelled":  {func(p *tape) *tape { return p.put(5, h2(http2.RSTStream, 0, 1, "\x00\x00\x00\x08")) }, "cancelled"},
		"connection": {func(p *tape) *tape { return p.close(5) }, "connection closed without an answer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := two().enter(30).wish(query).start("aaaa").put(5, headers(1, query), data(1, "aaaa")).at(3)
			f, _ := play(t, tt.end(p).at(4).enter(30).reply(1, ok))
			if k := f.requests[0].Calls; len(k) != 1 || k[0].Error != tt.want {
				t.Fatalf("calls %+v, want error %q", k, tt.want)
			}
		})
	}
}

func TestStreamWait(t *testing.T) {
	// Request /b has the only stream from 2 to 6 ms; /a starts at 3 ms and gets its at 6.2.
	held := func(first string) *tape {
		return two().got(5, 1.2, first).enter(40).wish(upsert).start("bbbb").at(2).put(5, headers(1, upsert), data(1, "bbbb")).
			at(2.5).enter(30).wish(query).at(3).start("aaaa").at(3.1).loop().on(300).as(0)
	}
	finish := func(p *tape) *tape {
		return p.at(8).got(5, 7.5, trailers(3, "0")).on(loopTID).at(9).slept(3.1).enter(30).reply(1, ok)
	}
	tests := map[string]struct {
		tape *tape
		wait float64
	}{
		"the limit is reached":                      {finish(held(limit(1)).at(6).got(5, 5.9, trailers(1, "0")).at(6.2).put(5, headers(3, query), data(3, "aaaa"))), 3.2},
		"the limit is far":                          {finish(held(limit(100)).at(6).got(5, 5.9, trailers(1, "0")).at(6.2).put(5, headers(3, query), data(3, "aaaa"))), 0},
		"sent at once":                              {finish(held(limit(2)).at(3.05).put(5, headers(3, query), data(3, "aaaa")).at(6).got(5, 5.9, trailers(1, "0"))), 0},
		"slow hand-over, no stream ended meanwhile": {finish(held(limit(2)).at(6).put(5, headers(3, query), data(3, "aaaa")).at(6.5).got(5, 6.5, trailers(1, "0"))), 0},
		"two streams ended at once": {finish(two().got(5, 1.2, limit(2)).enter(40).wish(upsert).start("bbbb").at(1.9).put(5, headers(1, upsert), data(1, "bbbb")).enter(40).copied(41).enter(41).start("cccc").at(2).put(5, headers(7, upsert), data(7, "cccc")).
			at(2.5).enter(30).wish(query).at(3).start("aaaa").at(3.1).loop().on(300).as(0).at(6).got(5, 5.9, trailers(1, "0"), trailers(7, "0")).at(6.2).put(5, headers(3, query), data(3, "aaaa"))), 3.2},
		"an older limit is replaced": {finish(held(limit(100)).at(2.6).got(5, 2.6, limit(1)).at(6).got(5, 5.9, trailers(1, "0")).at(6.2).put(5, headers(3, query), data(3, "aaaa"))), 3.2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			slicesByTime(tt.tape.events)
			f, _ := play(t, tt.tape)
			r := f.requests[0]
			if len(r.Calls) != 1 {
				t.Fatalf("calls %v", operations(r))
			}
			if got := float64(r.Calls[0].PoolWait) / 1e6; got != tt.wait || r.sum(PoolWait) != got && r.sum(PoolWait) < got-0.2 {
				t.Errorf("waited %g ms, want %g; %s", got, tt.wait, stages(r))
			}
			limits, waits := 0, 0
			for _, c := range f.connections {
				if !c.Streams {
					t.Errorf("change %+v is not about streams", c)
				}
				switch c.Change {
				case Limit:
					limits++
				case Waited:
					waits++
				}
			}
			if limits == 0 || (waits > 0) != (tt.wait > 0) {
				t.Errorf("%d limits and %d waits were told", limits, waits)
			}
		})
	}
}

// The connection was open before we came: the path is in a table that we do not have.
func TestGRPCMidway(t *testing.T) {
	indexed := h2(http2.Headers, http2.EndHeaders, 7, "\x83\x86\xbf") // an entry of the peer's table
	f, tr := play(t, newTape().at(0.1).loop().midway(1).known(5, 6334).at(1).enter(10).in(1, 1, get("/a")).copied(30).
		at(2).enter(30).wish(query).start("aaaa").put(5, indexed, data(7, "aaaa")).at(4).got(5, 3, trailers(7, "0")).at(5).enter(30).reply(1, ok))
	if len(f.requests[0].Calls) != 1 || tr.Orphans() > 0 {
		t.Fatalf("calls %v, %d orphans", operations(f.requests[0]), tr.Orphans())
	}
	if k := f.requests[0].Calls[0]; k.Peer.System != "qdrant" || k.Basis != "context" {
		t.Errorf("call %+v: the method is known from the probe", *k)
	}
}

func TestGRPCLosses(t *testing.T) {
	_, tr := play(t, two().put(5, headers(1, query)).frames(5, event.Sent|event.Desync, 0, headers(3, query), "\x00\x00"))
	if loss(tr, "frame boundary lost") != 1 || loss(tr, "frames not understood") != 1 {
		t.Errorf("losses %v", tr.Losses())
	}
	p := two()
	for range maxStarted + 1 {
		p.as(0).wish(query).start("aaaa")
	}
	_, tr = play(t, p)
	if loss(tr, "calls that never got a stream") == 0 {
		t.Errorf("losses %v", tr.Losses())
	}
	p = two()
	for i := range uint32(maxStreams + 10) {
		p.put(5, headers(2*i+1, query))
	}
	_, tr = play(t, p)
	if loss(tr, "more than 4,096 streams on a connection") != maxStreams/2 {
		t.Errorf("losses %v", tr.Losses())
	}
}

// A call whose task runs again before it got a stream is over: a stream with the same message is another's.
func TestGRPCDeadline(t *testing.T) {
	f, tr := play(t, two().enter(30).wish(query).copied(31).enter(31).start("same").at(2).enter(40).wish(query).copied(41).enter(41).start("same").
		at(3).loop().slept(2.1).enter(31).enter(30).reply(1, ok).
		on(300).as(0).at(4).put(5, headers(1, query), data(1, "same")).at(6).got(5, 5, trailers(1, "0")).on(loopTID).at(7).enter(40).reply(2, ok))
	if len(f.requests) != 2 || len(f.requests[0].Calls) != 0 || len(f.requests[1].Calls) != 1 || tr.Orphans() > 0 {
		t.Fatalf("requests %v, %d orphans", f.requests, tr.Orphans())
	}
	if k := f.requests[1].Calls[0]; k.Basis != "fingerprint" {
		t.Errorf("call %+v: only one is left that it can be", *k)
	}
}

// A call in a context whose older call never got a stream replaces it.
func TestGRPCTimeout(t *testing.T) {
	f, _ := play(t, two().enter(30).wish(query).copied(31).enter(31).start("first").at(2).enter(30).copied(31).wish(query).enter(31).start("other").
		on(300).as(0).at(3).put(5, headers(1, query), data(1, "other")).at(5).got(5, 4, trailers(1, "0")).on(loopTID).at(6).enter(30).reply(1, ok))
	if k := f.requests[0].Calls; len(k) != 1 || k[0].Basis != "fingerprint" {
		t.Errorf("calls %v", k)
	}
}
