package llm

import (
	"bytes"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/lines"
)

// Delta is what one transfer of a response brought.
type Delta struct {
	Tokens    int  // chunks that carry model output
	Done      bool // the protocol's own end mark
	Uncertain bool // bytes that were not captured may have held more chunks, or the end mark
}

// Response is the body of one response.
type Response struct {
	operation string
	lines     lines.Reader
	delta     Delta
	chunks    int

	input, output       int
	hasInput, hasOutput bool
}

// NewResponse makes the reader of a response to an operation.
func NewResponse(operation string) *Response { return &Response{operation: operation} }

// Feed takes the next transfer of the body.
func (r *Response) Feed(p protocol.Piece) Delta {
	r.delta = Delta{Uncertain: p.Gap() > 0}
	r.lines.Feed(p, r.line)
	r.chunks += r.delta.Tokens
	return r.delta
}

// Miss tells that transfers may be missing before the next one: counts by chunks are too low then.
func (r *Response) Miss() { r.lines.Miss(r.line) }

// Usage is the number of input and output tokens. fromProtocol tells that the server said so;
// else output is the number of chunks that carried output and were seen, and input is 0.
// An answer in one JSON text without a line end is complete only when the last transfer was fed.
func (r *Response) Usage() (input, output int, fromProtocol bool) {
	if l := r.lines.Held(); len(l.Text) > 0 {
		r.line(l)
	}
	if !r.hasInput && !r.hasOutput {
		return 0, r.chunks, false
	}
	if !r.hasOutput && r.operation != Embeddings {
		return r.input, r.chunks, false
	}
	return r.input, r.output, true
}

// line looks at a line or a part of one. Of a line told in parts only the first can count.
func (r *Response) line(l lines.Line) {
	b := payload(l.Text)
	if !l.FromStart || len(b) == 0 || b[0] != '{' {
		if string(b) == "[DONE]" {
			r.delta.Done = true
		}
		r.fragment(b)
	} else if r.object(b) {
		r.delta.Tokens++
	}
	if !l.Whole() && l.FromStart {
		r.fragment(b)
	}
}

// object reads a JSON object and reports whether it carries model output.
func (r *Response) object(b []byte) (output bool) {
	walk(b, func(depth int, key, value []byte) {
		switch len(key) { // most keys are sorted out by their length
		case 4, 5, 7, 8, 9, 10, 12, 13, 15, 17, 18:
		default:
			return
		}
		switch string(key) {
		case "content", "response", "text", "thinking", "reasoning", "reasoning_content":
			output = output || says(value)
		case "delta":
			output = output || says(value)
		case "tool_calls":
			output = output || len(value) > 1 && value[0] == '[' && value[1] != ']'
		case "done":
			r.delta.Done = r.delta.Done || depth == 1 && isTrue(value)
		default:
			r.usage(key, value)
		}
	})
	return output
}

func (r *Response) usage(key, value []byte) {
	switch string(key) {
	case "prompt_eval_count", "prompt_tokens", "input_tokens":
		if n, ok := number(value); ok {
			r.input, r.hasInput = n, true
		}
	case "eval_count", "completion_tokens", "output_tokens":
		if n, ok := number(value); ok {
			r.output, r.hasOutput = n, true
		}
	}
}

// fragment looks for counts and the end mark in JSON whose beginning is unknown.
func (r *Response) fragment(b []byte) {
	for _, key := range [...]string{"prompt_eval_count", "eval_count", "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"} {
		if v := find(b, key); v != nil {
			r.usage([]byte(key), v)
		}
	}
	if v := find(b, "done"); isTrue(v) {
		r.delta.Done = true
	}
}

// payload is the line without an event stream's field name and without spaces around it.
func payload(b []byte) []byte {
	if bytes.HasPrefix(b, []byte("data:")) {
		b = b[len("data:"):]
	}
	return bytes.Trim(b, " \t\r")
}
