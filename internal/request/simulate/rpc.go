package simulate

import (
	"encoding/binary"
	"fmt"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// A channel is one connection whose peer allows so many streams at a time. Calls beyond that wait
// in their order, and are written by a thread of the transport when a stream ends.
type channel struct {
	sock     uint64
	limit    int
	inline   int // 0: the transport's thread writes all; 1: some; 2: none that need not wait
	last     uint32
	messages int // ever, each with its own number
	streams  map[uint32]*rpc
	waiters  []*rpc
}

// An rpc is one call, in a task and a context of its own.
type rpc struct {
	task    *task // that makes it
	ctx     uint64
	message string
	twin    bool
	asked   int64
	id      uint32
}

const (
	query       = "/qdrant.Points/Query"
	headersType = 1
	dataType    = 0
	settings    = 4
	endStream   = 1
	endHeaders  = 4
	transport   = 90 // thread, after the process's own
)

func frame(kind, flags byte, stream uint32, payload string) string {
	head := make([]byte, 12)
	head[1], head[2], head[3], head[4] = byte(len(payload)>>8), byte(len(payload)), kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	binary.LittleEndian.PutUint16(head[10:], uint16(len(payload)))
	return string(head) + payload
}

// remote goes on with a call over the channel.
func (t *task) remote() bool {
	p := t.p
	if t.phase == 1 {
		return true
	}
	t.phase = 1
	if p.channel.sock == 0 {
		p.channel.open(p)
	}
	p.emit(event.Event{Type: event.GRPCCall, Head: []byte(query + "\x00"), Len: uint32(len(query))})
	k := &rpc{task: t, ctx: p.copied(), twin: p.rng.IntN(10) == 0}
	k.message = "twin"
	if !k.twin {
		p.channel.messages++
		k.message = fmt.Sprintf("%08d", p.channel.messages)
	}
	p.open++
	p.soon(callback{ctx: k.ctx, fn: func() {
		t.cpu(p.rng.Int64N(20 * us))
		p.emit(event.Event{Type: event.GRPCStart, Head: []byte(k.message), Len: uint32(len(k.message))})
		k.asked = p.now
		p.channel.begin(p, k)
	}})
	return false
}

func (c *channel) open(p *process) {
	c.sock = p.socket()
	p.emit(event.Event{Type: event.Conn, Sock: c.sock, RPort: 6334, Head: loopback[:]})
	limit := binary.BigEndian.AppendUint32([]byte{0, 3}, uint32(c.limit))
	c.emit(p, p.now, false, 0, frame(settings, 0, 0, string(limit)))
}

// emit is a transfer by the transport's thread, or by the loop's in the current context.
func (c *channel) emit(p *process, at int64, own bool, flags event.Flags, frames string) {
	e := event.Event{Type: event.Frames, Time: at, Sock: c.sock, Flags: flags, Head: []byte(frames), Len: uint32(len(frames))}
	if flags&event.Sent == 0 {
		e.Arrive = at - 1
	}
	if !own {
		e.TID, e.Flags = p.pid+transport, e.Flags|event.NoThread
	}
	p.emit(e)
}

// begin writes a call, if there is a stream for it.
func (c *channel) begin(p *process, k *rpc) {
	if len(c.streams) >= c.limit {
		c.waiters = append(c.waiters, k)
		return
	}
	p.tick()
	p.now++
	c.write(p, k, c.inline == 2 || c.inline == 1 && p.rng.IntN(2) == 0)
}

func (c *channel) write(p *process, k *rpc, own bool) {
	c.last += 2
	k.id = c.last - 1
	c.streams[k.id] = k
	path := "\x83\x86\x04" + string(rune(len(query))) + query
	data := "\x00\x00\x00\x00" + string(rune(len(k.message))) + k.message
	c.emit(p, p.now, own, event.Sent, frame(headersType, endHeaders, k.id, path)+frame(dataType, endStream, k.id, data))
	k.task.calls(c.sock, &Call{Wait: p.now - k.asked, Stream: true, Twin: k.twin})
	p.later(p.now+100*us+p.rng.Int64N(5*ms), func() { c.end(p, k) })
}

// end is the answer, read by the transport's thread, which then writes what waited and wakes the
// loop.
func (c *channel) end(p *process, k *rpc) {
	p.now++
	c.emit(p, p.now, false, 0, frame(headersType, endHeaders|endStream, k.id, "\x00\x0bgrpc-status\x010"))
	delete(c.streams, k.id)
	if len(c.waiters) > 0 {
		next := c.waiters[0]
		c.waiters = c.waiters[1:]
		p.now++
		c.write(p, next, false)
	}
	p.soon(callback{ctx: p.base, fn: func() {
		p.soon(callback{ctx: k.ctx, done: true, fn: func() {
			k.task.cpu(p.rng.Int64N(10 * us))
			p.open--
			k.task.wake()
		}})
	}})
}
