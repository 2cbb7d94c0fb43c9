package request

import (
	"bytes"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/llm"
)

// llmBody follows a request to a language model and the arrival of its tokens.
type llmBody struct {
	path     string
	offset   int // of the body in the first piece; -1: it comes in a later one
	first    bool
	known    bool
	began    bool // the head of the response is over
	hidden   int  // transfers of the stream of which a part was not captured
	fact     LLM
	response *llm.Response
}

func newLLMBody(path string, offset int) body {
	return &llmBody{path: path, offset: offset, first: true}
}

func (b *llmBody) sent(p protocol.Piece) {
	if b.first {
		b.first = false
		if b.offset < 0 || b.offset >= len(p.Head) {
			return
		}
		p = p.From(b.offset)
	}
	if b.known {
		return
	}
	r, ok := llm.ParsePiece(b.path, p)
	if !ok {
		return
	}
	b.known = true
	b.fact = LLM{Operation: r.Operation, Model: r.Model, Stream: r.Stream}
	b.response = llm.NewResponse(r.Operation)
}

func (b *llmBody) received(p protocol.Piece, came arrival) {
	if !b.known {
		return
	}
	if p = b.content(p); p.N == 0 {
		return
	}
	d := b.response.Feed(p)
	if !b.fact.Stream {
		return // one answer: it has no first token
	}
	if d.Uncertain {
		b.hidden++
	}
	b.fact.Chunks += d.Tokens
	for i := range d.Tokens {
		if len(b.fact.Tokens) == MaxTokens {
			break
		}
		b.fact.Tokens = append(b.fact.Tokens, came.of(i, d))
	}
}

// arrival is when the bytes of one read came: the first of them, and the last, which may have been
// later where the target was too busy to read in between.
type arrival struct{ first, last int64 }

func arrivals(x *exchange, e *event.Event) arrival {
	a := arrival{first: x.lastArrival(e)}
	a.last = a.first
	if last := int64(e.Other); last > a.first && last <= e.Time {
		a.last = last
	}
	return a
}

// of is when the i-th token of a read came. A single one came last, after the head or the announcement of
// a role that was read with it, unless the end of the stream did; of several the first came first.
func (a arrival) of(i int, d llm.Delta) int64 {
	if d.Done || i == 0 && d.Tokens > 1 {
		return a.first
	}
	return a.last
}

// content is what of a transfer is not the response's head: the body's framing must be met at its
// begin, for a chunk may end within a token.
func (b *llmBody) content(p protocol.Piece) protocol.Piece {
	for !b.began && p.N > 0 {
		if !bytes.HasPrefix(p.Head, []byte("HTTP/")) {
			b.began = true
			break
		}
		end := bytes.Index(p.Head, []byte("\r\n\r\n"))
		if end < 0 {
			b.began = len(p.Tail) > 0 // a head of which we see no end, with the body behind it
			return protocol.Piece{}
		}
		interim := bytes.HasPrefix(p.Head[min(len("HTTP/1.1 "), end):], []byte("1"))
		p = p.From(end + 4)
		b.began = !interim
	}
	return p
}

// receive follows an answer; tokens that its request's client is to be told of are on their way
// through the target from now on.
func (t *Tracker) receive(x *exchange, p protocol.Piece, came arrival) {
	if x.body == nil {
		return
	}
	b, isLLM := x.body.(*llmBody)
	if !isLLM {
		x.body.received(p, came)
		return
	}
	before, hidden := len(b.fact.Tokens), b.hidden
	b.received(p, came)
	if b.hidden > hidden {
		t.lose("llm", "part of a stream not captured: tokens in it are not counted as chunks")
	}
	if l := x.live; l != nil && len(b.fact.Tokens) > before {
		l.passing.read(b.fact.Tokens[before])
	}
}

// passing are tokens on their way through the target: read from a language model, not yet
// forwarded to the client. What was read before a send goes with it; what arrived but was not read
// does not.
type passing struct {
	arrived []int64 // of each transfer that carried tokens and was read
	delays  []int64
	sends   int // that took tokens with them
}

func (p *passing) read(arrived int64) {
	if len(p.arrived)+len(p.delays) < MaxTokens {
		p.arrived = append(p.arrived, arrived)
	}
}

func (p *passing) sent(at int64) {
	if len(p.arrived) == 0 {
		return
	}
	p.sends++
	for _, arrived := range p.arrived {
		p.delays = append(p.delays, at-arrived)
	}
	p.arrived = p.arrived[:0]
}

// forwards are the delays of a response that streams; nil for one that was sent when all was there.
func (l *live) forwards() []int64 {
	if l.SSE || l.passing.sends > 1 {
		return l.passing.delays
	}
	return nil
}

func (b *llmBody) result() *LLM {
	if !b.known {
		return nil
	}
	b.fact.InputTokens, b.fact.OutputTokens, b.fact.FromProtocol = b.response.Usage()
	if !b.fact.FromProtocol {
		b.fact.OutputTokens = b.fact.Chunks
	}
	return &b.fact
}

func (b *llmBody) miss() {
	if b.known {
		b.response.Miss()
	}
}
