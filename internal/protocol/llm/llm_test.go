package llm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/http1"
	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

func TestParseRequest(t *testing.T) {
	for _, c := range []struct {
		path, body string
		want       Request
		ok         bool
	}{
		{"/api/chat", `{"model":"smollm2","messages":[]}`, Request{Operation: Chat, Model: "smollm2", Stream: true}, true},
		{"/api/chat?x=1", `{"messages":[{"model":"inner","stream":true}], "model" : "m", "stream" : false}`, Request{Operation: Chat, Model: "m"}, true},
		{"/api/generate", `{"prompt":"say \"model\":\"no\"","model":"m"}`, Request{Operation: TextCompletion, Model: "m", Stream: true}, true},
		{"/api/embed", `{"model":"all-minilm"}`, Request{Operation: Embeddings, Model: "all-minilm"}, true},
		{"/api/embeddings", ``, Request{Operation: Embeddings}, true},
		{"/v1/chat/completions", `{"stream":true,"model":"gpt"}`, Request{Operation: Chat, Model: "gpt", Stream: true}, true},
		{"/openai/deployments/d/chat/completions?api-version=1", `{}`, Request{Operation: Chat}, true},
		{"/v1/completions", "1f\r\n{\"model\":\"m\",\"prompt\":\"x\"}\r\n", Request{Operation: TextCompletion, Model: "m"}, true},
		{"/v1/embeddings", `{"input":"text that goes on and o`, Request{Operation: Embeddings}, true},
		{"/api/chat", `{"model":"cut`, Request{Operation: Chat, Stream: true}, true},
		{"/api/chat", `not json`, Request{Operation: Chat, Stream: true}, true},
		{"/api/tags", `{"model":"m"}`, Request{}, false},
	} {
		got, ok := parseRequest(c.path, []byte(c.body))
		if got.explicit = false; got != c.want || ok != c.ok {
			t.Errorf("%s %s: %+v %t, want %+v %t", c.path, c.body, got, ok, c.want, c.ok)
		}
	}
}

func TestParsePiece(t *testing.T) {
	long := `{"messages":[{"role":"user","content":"` + strings.Repeat(`a\"b `, 400) + `"}],`
	for name, c := range map[string]struct {
		body       string
		head, tail int
		want       Request
	}{
		"model at the end":            {long + `"model":"m","stream":true}`, 256, 128, Request{Operation: Chat, Model: "m", Stream: true}},
		"chunked":                     {long + `"model":"m","stream":true}` + "\r\n0\r\n\r\n", 256, 128, Request{Operation: Chat, Model: "m", Stream: true}},
		"a quoted model is none":      {long + `"x":"\"model\":\"no\",\"stream\":true"}`, 256, 128, Request{Operation: Chat}},
		"an inner model is none":      {long + `"x":{"model":"no","stream":true}}`, 256, 128, Request{Operation: Chat}},
		"head and tail without gap":   {`{"messages":[],"model":"m","stream":true}`, 20, 256, Request{Operation: Chat, Model: "m", Stream: true}},
		"the head's word comes first": {`{"model":"h","stream":false,` + long[1:] + `"model":"t","stream":true}`, 256, 128, Request{Operation: Chat, Model: "h"}},
	} {
		got, ok := ParsePiece("/v1/chat/completions", protocol.Cut([]byte(c.body), c.head, c.tail))
		if got.explicit = false; got != c.want || !ok {
			t.Errorf("%s: %+v %t, want %+v", name, got, ok, c.want)
		}
	}
}

func TestResponse(t *testing.T) {
	token := `{"model":"m","message":{"role":"assistant","content":"x"},"done":false}` + "\n"
	context := `{"response":"","done":true,"context":[` + strings.Repeat("1,", 1000) + `1],"prompt_eval_count":12,"eval_count":34,"eval_duration":5}` + "\n"
	for name, c := range map[string]struct {
		operation  string
		body       string
		head, tail int
		delta      Delta
		in, out    int
		protocol   bool
	}{
		"coalesced":                {Chat, token + token + token, 512, 256, Delta{Tokens: 3}, 0, 3, false},
		"coalesced, partly unseen": {Chat, strings.Repeat(token, 20), 100, 100, Delta{Tokens: 2, Uncertain: true}, 0, 2, false},
		"long last line":           {TextCompletion, context, 512, 256, Delta{Done: true, Uncertain: true}, 12, 34, true},
		"reasoning":                {Chat, `data: {"choices":[{"delta":{"reasoning_content":"x"}}]}` + "\n\n", 512, 256, Delta{Tokens: 1}, 0, 1, false},
		"tool call":                {Chat, `data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}` + "\n\n", 512, 256, Delta{Tokens: 1}, 0, 1, false},
		"empty delta":              {Chat, `data: {"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}` + "\n\n", 512, 256, Delta{}, 0, 0, false},
		"end mark":                 {Chat, "data: [DONE]\n\n", 512, 256, Delta{Done: true}, 0, 0, false},
		"end mark behind a gap":    {Chat, "a\r\ndata: x\n\n\r\n" + strings.Repeat("z", 900) + "\n\ndata: [DONE]\n\n\r\n0\r\n\r\n", 10, 60, Delta{Done: true, Uncertain: true}, 0, 0, false},
		"words of the answer":      {Chat, `{"message":{"content":"\"done\":true \"eval_count\":9"},"done":false}` + "\n", 512, 256, Delta{Tokens: 1}, 0, 1, false},
		"pretty":                   {Chat, "{\n \"choices\": [],\n \"usage\": {\n  \"prompt_tokens\": 5,\n  \"completion_tokens\": 6,\n \"total_tokens\": 11\n }\n}", 512, 256, Delta{}, 5, 6, true},
		"embeddings":               {Embeddings, `{"data":[{"embedding":[` + strings.Repeat("0.1,", 900) + `1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`, 512, 256, Delta{Uncertain: true}, 8, 0, true},
	} {
		r := NewResponse(c.operation)
		if d := r.Feed(protocol.Cut([]byte(c.body), c.head, c.tail)); d != c.delta {
			t.Errorf("%s: %+v, want %+v", name, d, c.delta)
		}
		if in, out, said := r.Usage(); in != c.in || out != c.out || said != c.protocol {
			t.Errorf("%s: usage %d, %d, %t, want %d, %d, %t", name, in, out, said, c.in, c.out, c.protocol)
		}
	}
}

// TestCaptured replays httpx and the OpenAI client against a real Ollama.
func TestCaptured(t *testing.T) {
	for _, limit := range []int{1 << 16, 1024, 512} {
		type connection struct {
			requests, responses *http1.Stream
			call                Request
			path                string
			body                *Response
			tokens, done        int
		}
		conns := map[int]*connection{}
		var got []string
		for _, r := range wiretest.Read(t, "ollama.cap") {
			c := conns[r.Connection]
			if c == nil {
				c = &connection{requests: http1.NewRequests(), responses: http1.NewResponses()}
				conns[r.Connection] = c
			}
			p := protocol.Cut(r.Bytes, limit, 256)
			if r.FromClient {
				for _, e := range c.requests.Feed(p) {
					if e.Begin {
						c.path = e.Message.Target
						if p = p.From(e.BodyOffset); e.BodyOffset < 0 { // the head's end is in the tail
							p.Head = p.Tail
						}
					}
				}
				if q, ok := ParsePiece(c.path, p); ok && q.Model != "" {
					c.call, c.tokens, c.done, c.body = q, 0, 0, NewResponse(q.Operation)
				}
				continue
			}
			es := c.responses.Feed(p)
			body := p
			for _, e := range es {
				if e.Begin {
					body = p.From(e.BodyOffset)
				}
			}
			d := c.body.Feed(body)
			c.tokens += d.Tokens
			if d.Done {
				c.done++
			}
			for _, e := range es {
				if e.End {
					in, out, said := c.body.Usage()
					got = append(got, fmt.Sprintf("%s %s stream %t: %d chunks, end %d, usage %d+%d %t", c.call.Operation, c.call.Model, c.call.Stream, c.tokens, c.done, in, out, said))
				}
			}
		}
		want := []string{
			"chat smollm2 stream true: 6 chunks, end 1, usage 11+6 true",
			"text_completion smollm2 stream true: 6 chunks, end 1, usage 12+6 true",
			"chat smollm2 stream false: 0 chunks, end 0, usage 11+6 true",
			"embeddings all-minilm stream false: 0 chunks, end 0, usage 2+0 true",
			"chat smollm2 stream true: 6 chunks, end 1, usage 11+6 true",
			"chat smollm2 stream false: 1 chunks, end 0, usage 11+6 true",
			"embeddings all-minilm stream false: 0 chunks, end 0, usage 2+0 true",
			"chat none stream true: 0 chunks, end 0, usage 0+0 false",
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("captured %d bytes:\n%s\nwant\n%s", limit, g, w)
		}
	}
}

func TestFirstClientToken(t *testing.T) {
	for in, want := range map[string]bool{
		`data: {"type":"token","data":{"content":"Hello"}}` + "\n\n":                true,
		"33\r\ndata: {\"type\":\"token\",\"data\":{\"content\":\"He":                true,
		"36\r\ndata: {\"type\":\"metadata\",\"data\":{\"content\":\"s1\"}}\n\n\r\n": false,
		"data: {\"type\":\"phase_event\"}\n\ndata: {\"type\":\"token\"}\n\n":        true,
		`data: {"data":{"content":"phase"},"type":"phase_event"}`:                   false,
		`data: {"choices":[{"delta":{"content":"x"}}]}`:                             true,
		`data: {"choices":[{"delta":{"role":"assistant","content":""}}]}`:           false,
		`{"response":"x","done":false}`:                                             true,
		`{"message":{"role":"assistant","content":""},"done":false}`:                false,
		`{"message":{"role":"assistant","content":" the"},"done":false}`:            true,
		"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n":                false,
		"data: [DONE]\n\n": false, "": false, "data: {": false, `{"type":"content_block_delta","delta":{"text":"x"}}`: true,
	} {
		if got := FirstClientToken([]byte(in)); got != want {
			t.Errorf("%q: %t, want %t", in, got, want)
		}
	}
}

func TestStreamError(t *testing.T) {
	for in, want := range map[string]bool{
		"data: {\"type\":\"error\",\"data\":{\"message\":\"x\"}}\n\n": true,
		`data: {"type":"token","data":{"type":"error"}}`:              false,
		`{"error":"model not found"}`:                                 true,
		`{"error":null,"response":"x"}`:                               false,
		`data: {"error":{"message":"x"}}`:                             true,
		"event: error\ndata: x\n\n":                                   true,
		`data: {"type":"token","data":{"content":"error"}}`:           false,
	} {
		if got := StreamError([]byte(in)); got != want {
			t.Errorf("%q: %t, want %t", in, got, want)
		}
	}
}

func FuzzFeed(f *testing.F) {
	for _, r := range wiretest.Read(f, "ollama.cap") {
		f.Add(r.Bytes, 10, 64, 32)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut, head, tail int) {
		cut, head, tail = min(max(cut, 0), len(b)), max(head, 0), max(tail, 0)
		r := NewResponse(Chat)
		for _, x := range [][]byte{b[:cut], b[cut:], b} {
			p := protocol.Cut(x, head, tail)
			if d := r.Feed(p); d.Tokens > len(x) {
				t.Fatalf("%d tokens in %d bytes", d.Tokens, len(x))
			}
			if q, ok := ParsePiece("/api/chat", p); !ok || len(q.Model) > MaxModel {
				t.Fatalf("%+v", q)
			}
			FirstClientToken(x)
			StreamError(x)
		}
		if in, out, _ := r.Usage(); in < 0 || out < 0 {
			t.Fatal("negative counts")
		}
	})
}

func BenchmarkOllamaToken(b *testing.B) {
	r := NewResponse(Chat)
	in := protocol.Whole([]byte("80\r\n{\"model\":\"smollm2\",\"created_at\":\"2026-11-25T08:27:46.621631218Z\",\"message\":{\"role\":\"assistant\",\"content\":\" glad\"},\"done\":false}\n\r\n"))
	b.ReportAllocs()
	for b.Loop() {
		if r.Feed(in).Tokens != 1 {
			b.Fatal("no token")
		}
	}
}

func BenchmarkParseRequest(b *testing.B) {
	in := []byte(`{"model":"smollm2","messages":[{"role":"user","content":"Say hi"}],"options":{"num_predict":6,"temperature":0}}`)
	b.ReportAllocs()
	for b.Loop() {
		parseRequest("/api/chat", in)
	}
}

func BenchmarkFirstClientToken(b *testing.B) {
	in := []byte("33\r\ndata: {\"type\":\"token\",\"data\":{\"content\":\"Hello\"}}\n\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if !FirstClientToken(in) {
			b.Fatal("no token")
		}
	}
}
