package request

import (
	"bytes"

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
	head := p.Head
	if b.first {
		b.first = false
		if b.offset < 0 || b.offset >= len(head) {
			return
		}
		head = head[b.offset:]
	}
	if b.known {
		return
	}
	r, ok := llm.ParseRequest(b.path, head)
	if !ok {
		return
	}
	b.known = true
	b.fact = LLM{Operation: r.Operation, Model: r.Model, Stream: r.Stream}
	b.response = llm.NewResponse(r.Operation)
}

func (b *llmBody) received(p protocol.Piece, at int64) {
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
	for range d.Tokens {
		if len(b.fact.Tokens) == MaxTokens {
			break
		}
		b.fact.Tokens = append(b.fact.Tokens, at)
	}
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
func (t *Tracker) receive(x *exchange, p protocol.Piece, arrived int64) {
	if x.body == nil {
		return
	}
	b, isLLM := x.body.(*llmBody)
	if !isLLM {
		x.body.received(p, arrived)
		return
	}
	before := b.fact.Chunks
	hidden := b.hidden
	b.received(p, arrived)
	if b.hidden > hidden {
		t.lose("llm", "part of a stream not captured: tokens in it are not counted as chunks")
	}
	if l := x.live; l != nil && b.fact.Chunks > before {
		l.passing.read(arrived)
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
