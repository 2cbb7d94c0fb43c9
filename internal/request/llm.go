package request

import (
	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/llm"
)

// llmBody follows a request to a language model and the arrival of its tokens.
type llmBody struct {
	path     string
	offset   int // of the body in the first piece; -1: it comes in a later one
	first    bool
	known    bool
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
	d := b.response.Feed(p)
	if !b.fact.Stream {
		return // one answer: it has no first token
	}
	b.fact.Chunks += d.Tokens
	for range d.Tokens {
		if len(b.fact.Tokens) == MaxTokens {
			break
		}
		b.fact.Tokens = append(b.fact.Tokens, at)
	}
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
