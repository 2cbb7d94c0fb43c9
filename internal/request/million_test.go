package request

import (
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// held is the memory in bytes that can be reached from a value: structs and arrays once, slices by
// their capacity, strings, and the entries of maps.
func held(v any) int {
	w := weight{seen: map[[2]uintptr]bool{}}
	w.add(reflect.ValueOf(v))
	return w.bytes
}

type weight struct {
	seen  map[[2]uintptr]bool
	bytes int
}

func (w *weight) first(v reflect.Value, size uintptr) bool {
	k := [2]uintptr{v.Pointer(), size}
	if v.IsNil() || w.seen[k] {
		return false
	}
	w.seen[k] = true
	return true
}

func (w *weight) add(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if w.first(v, v.Type().Elem().Size()) {
			w.bytes += int(v.Type().Elem().Size())
			w.add(v.Elem())
		}
	case reflect.Interface:
		if !v.IsNil() {
			w.add(v.Elem())
		}
	case reflect.String:
		w.bytes += v.Len()
	case reflect.Slice:
		if size := v.Type().Elem().Size(); w.first(v, uintptr(v.Cap())*size) {
			w.bytes += v.Cap() * int(size)
			if plain(v.Type().Elem()) {
				return
			}
			for i := range v.Len() {
				w.add(v.Index(i))
			}
		}
	case reflect.Array:
		if !plain(v.Type().Elem()) {
			for i := range v.Len() {
				w.add(v.Index(i))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			w.add(v.Field(i))
		}
	case reflect.Map:
		w.bytes += v.Len() * int(v.Type().Key().Size()+v.Type().Elem().Size())
		for i := v.MapRange(); i.Next(); {
			w.add(i.Key())
			w.add(i.Value())
		}
	}
}

func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.String, reflect.Slice, reflect.Array, reflect.Struct, reflect.Map:
		return false
	}
	return true
}

// A target that does everything that could pile up: connections that never close, calls that are
// never answered, belong to nobody or never get a stream, streams that never end, contexts that
// are never freed, threads and workers that come and go.
type hoarder struct {
	tr  *Tracker
	now int64
	pid uint32
}

func (h *hoarder) feed(e event.Event, text string) {
	h.now += 1000
	e.Time, e.PID = h.now, h.pid
	if e.TID == 0 {
		e.TID = h.pid
	}
	if text != "" {
		e.Head, e.Len = []byte(text), uint32(len(text))
	}
	h.tr.Feed(&e)
}

func (h *hoarder) request(i uint64) {
	w := uint64(h.pid)
	in := w<<32 | i%64 // a few connections serve most requests
	if i%40 == 0 {
		in = 1<<42 | i // and some are opened for one and never closed
	}
	ctx := 0x1000 + i*0x10 // addresses never come back
	h.feed(event.Event{Type: event.Enter, Other: 2}, "")
	h.feed(event.Event{Type: event.Recv, Flags: event.Inbound, Sock: in, Arrive: h.now, Context: 2}, "GET /item HTTP/1.1\r\nHost: api\r\n\r\n")
	h.feed(event.Event{Type: event.Copy, Context: 2, Other: ctx}, "")
	h.feed(event.Event{Type: event.Enter, Other: ctx}, "")
	if i%10 == 0 {
		h.hoard(i/10, ctx)
	}
	h.feed(event.Event{Type: event.Send, Flags: event.Inbound, Sock: in, Context: ctx}, ok)
	h.feed(event.Event{Type: event.Loop}, "")
}

// hoard makes calls in a request's context, of which most leave something behind.
func (h *hoarder) hoard(i, ctx uint64) {
	const redis, channel = 1 << 40, 1 << 41
	w := uint64(h.pid)
	h.feed(event.Event{Type: event.Send, Sock: redis | w, RPort: 6379, Context: ctx}, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
	h.feed(event.Event{Type: event.Recv, Sock: redis | w, RPort: 6379}, "$1\r\n1\r\n")
	switch i % 4 {
	case 0: // belongs to nobody
		h.feed(event.Event{Type: event.Send, Sock: redis | w, RPort: 6379}, "*1\r\n$4\r\nPING\r\n")
		h.feed(event.Event{Type: event.Recv, Sock: redis | w, RPort: 6379}, "+PONG\r\n")
	case 1: // never answered
		h.feed(event.Event{Type: event.Conn, Sock: 1<<43 | i, RPort: uint16(i), Context: ctx}, string(mapped(byte(i>>16))))
		h.feed(event.Event{Type: event.Send, Sock: 1<<43 | i, RPort: uint16(i), Context: ctx}, "GET /slow HTTP/1.1\r\n\r\n")
	case 2: // never gets a stream
		h.feed(event.Event{Type: event.GRPCCall, Context: ctx}, "/qdrant.Points/Query\x00")
		h.feed(event.Event{Type: event.GRPCStart, Context: ctx}, "some message")
	case 3: // a stream that never ends
		h.feed(event.Event{Type: event.Frames, Flags: event.Sent, Sock: channel | w, RPort: 6334, Context: ctx}, streamHead(uint32(i)*2+1))
	}
	if i%16 == 0 {
		h.feed(event.Event{Type: event.Enter, TID: uint32(1<<20 + i), Other: ctx}, "") // a thread for this one
	}
}

func streamHead(id uint32) string {
	b := []byte(headers(1, query))
	b[5], b[6], b[7], b[8] = byte(id>>24)&0x7f, byte(id>>16), byte(id>>8), byte(id)
	return string(b)
}

// What the heart keeps has reached its size after two fifths of the requests, and no more is added by the
// other before.
func TestMillionRequests(t *testing.T) {
	rounds := uint64(250_000) // RAGSCOPE_LONG=1: a million
	if os.Getenv("RAGSCOPE_LONG") != "" {
		rounds = 1_000_000
	}
	sink := &counted{}
	h := &hoarder{tr: New(Options{Endpoint: func(_ uint32, m, _ string) string { return m }, Late: func(uint32) bool { return false }}, sink), pid: 10}
	before := 0
	for i := range rounds {
		if i%(rounds/5) == rounds/10 { // a worker ends, the next one starts
			h.tr.Gone(h.pid, h.now)
			h.pid++
		}
		h.request(i)
		if i == rounds/5*2 { // in the middle of a worker's life, as the end is
			before = held(h.tr)
		}
	}
	end := held(h.tr)
	t.Logf("%.1f MB held after two fifths of %d requests, %.1f MB at the end", float64(before)/1e6, rounds, float64(end)/1e6)
	if end > before+before/10 {
		t.Errorf("%d bytes held after two fifths of the requests, %d at the end", before, end)
	}
	if sink.requests != int(rounds) {
		t.Errorf("%d requests of %d", sink.requests, rounds)
	}
	if n := len(h.tr.contexts.byKey); n > maxContexts {
		t.Errorf("%d contexts", n)
	}
	if len(h.tr.in) > maxConnections || len(h.tr.out) > maxConnections || len(h.tr.threads) > maxThreads || len(h.tr.grpc) > 1 {
		t.Errorf("%d and %d connections, %d threads, %d stubs", len(h.tr.in), len(h.tr.out), len(h.tr.threads), len(h.tr.grpc))
	}
	h.tr.Gone(h.pid, h.now)
	if err := idle(h.tr); err != nil {
		t.Error(err)
	}
}

// idle reports what is left of processes that have ended.
func idle(tr *Tracker) error {
	if n := len(tr.threads) + len(tr.grpc) + len(tr.in) + len(tr.out) + len(tr.pools); n > 0 {
		return fmt.Errorf("left when all processes had ended: %d threads, %d stubs, %d and %d connections, %d pools", len(tr.threads), len(tr.grpc), len(tr.in), len(tr.out), len(tr.pools))
	}
	for e, n := range tr.counts {
		if n != 0 {
			return fmt.Errorf("%d requests of %s count as under way when all processes had ended", n, e)
		}
	}
	return nil
}
