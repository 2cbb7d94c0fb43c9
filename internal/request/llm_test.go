package request

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const sseHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

func openAIToken(text string) string {
	return `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"` + text + `"}}]}` + "\n\n"
}

const (
	openAIRole  = `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n"
	openAIUsage = `data: {"id":"c","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}` + "\n\n"
	openAIDone  = "data: [DONE]\n\n"
)

// asking is a request in context 0xa that has asked a model for a stream at 3 ms.
func asking() *tape {
	body := `{"model":"gpt","stream":true,"messages":[]}`
	return newTape().at(0).midway(1).loop().at(1).in(1, 1, get("/chat")).copied(0xa).enter(0xa).known(5, 9999).
		at(3).ask(5, fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: llm\r\nContent-Length: %d\r\n\r\n%s", len(body), body)).loop()
}

func tokensOf(m *LLM) string {
	out := ""
	for _, at := range m.Tokens {
		out += fmt.Sprintf("%g ", float64(at)/1e6)
	}
	return fmt.Sprintf("%sof %d, usage %d/%d %v", out, m.Chunks, m.InputTokens, m.OutputTokens, m.FromProtocol)
}

func delaysOf(r *Request) string {
	out := ""
	for _, ns := range r.Forwards {
		out += fmt.Sprintf("%g ", float64(ns)/1e6)
	}
	return strings.TrimSpace(out)
}

// Where a stream's transfers end has nothing to do with where its tokens end.
func TestTokenBoundaries(t *testing.T) {
	first, second := openAIToken("Hello"), openAIToken("world")
	end := chunk(openAIUsage+openAIDone) + "0\r\n\r\n"
	type arrival struct {
		at   float64
		text string
	}
	for _, c := range []struct {
		name, want string
		pieces     []arrival
	}{
		{"a chunk each", "10 20 of 2, usage 12/3 true", []arrival{{5, sseHead}, {10, chunk(first)}, {20, chunk(second)}, {30, end}}},
		{"the role is no token", "10 of 1, usage 12/3 true", []arrival{{5, sseHead + chunk(openAIRole)}, {10, chunk(first)}, {30, end}}},
		{"the first comes with the head", "5 20 of 2, usage 12/3 true", []arrival{{5, sseHead + chunk(first)}, {20, chunk(second)}, {30, end}}},
		{"two in a chunk", "10 10 of 2, usage 12/3 true", []arrival{{5, sseHead}, {10, chunk(first + second)}, {30, end}}},
		{"two chunks in a transfer", "10 10 of 2, usage 12/3 true", []arrival{{5, sseHead}, {10, chunk(first) + chunk(second)}, {30, end}}},
		{"one over two transfers: it is there with the second", "12 20 of 2, usage 12/3 true",
			[]arrival{{5, sseHead}, {10, chunk(first)[:40]}, {12, chunk(first)[40:]}, {20, chunk(second)}, {30, end}}},
		{"one over two chunks", "12 20 of 2, usage 12/3 true",
			[]arrival{{5, sseHead}, {10, chunk(first[:40])}, {12, chunk(first[40:])}, {20, chunk(second)}, {30, end}}},
		{"one over two chunks, the first with the head", "12 of 1, usage 12/3 true",
			[]arrival{{5, sseHead + chunk(first[:40])}, {12, chunk(first[40:])}, {30, end}}},
		{"the end of one and the next", "12 12 of 2, usage 12/3 true",
			[]arrival{{5, sseHead}, {10, chunk(first[:40])}, {12, chunk(first[40:] + second)}, {30, end}}},
		{"an interim head before", "10 of 1, usage 12/3 true",
			[]arrival{{4, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"}, {5, sseHead}, {10, chunk(first)}, {30, end}}},
		{"no usage: chunks are counted", "10 20 of 2, usage 0/2 false", []arrival{{5, sseHead}, {10, chunk(first)}, {20, chunk(second)}, {30, chunk(openAIDone) + "0\r\n\r\n"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := asking()
			for _, x := range c.pieces {
				p.at(x.at+0.5).answer(5, x.at, x.text)
			}
			f, tr := play(t, p.at(40).as(0xa).reply(1, ok))
			k := f.requests[0].Calls[0]
			if k.LLM == nil || k.LLM.Model != "gpt" || k.LLM.Operation != "chat" || !k.LLM.Stream {
				t.Fatalf("model call %+v", k.LLM)
			}
			if got := tokensOf(k.LLM); got != c.want {
				t.Errorf("tokens %s, want %s", got, c.want)
			}
			if n := tr.Losses(); len(n) > 0 {
				t.Errorf("losses %v", n)
			}
		})
	}
}

// One read holds what came at different times.
func TestTokensOfOneRead(t *testing.T) {
	first, second := openAIToken("Hello"), openAIToken("world")
	for _, c := range []struct{ name, want, text string }{
		{"the head, then a token", "14 of 1, usage 0/1 false", sseHead + chunk(first)},
		{"the role, then a token", "14 of 1, usage 0/1 false", sseHead + chunk(openAIRole) + chunk(first)},
		{"two tokens", "10 14 of 2, usage 0/2 false", sseHead + chunk(first) + chunk(second)},
		{"a token, then the end", "10 of 1, usage 0/1 false", sseHead + chunk(first) + chunk(openAIDone) + "0\r\n\r\n"},
	} {
		p := asking().at(15).answer(5, 10, c.text)
		p.events[len(p.events)-1].Other = uint64(ms(14))
		f, _ := play(t, p.at(40).as(0xa).reply(1, ok).close(5))
		calls := slices.Concat(f.calls, f.requests[0].Calls)
		if got := tokensOf(calls[0].LLM); got != c.want {
			t.Errorf("%s: tokens %s, want %s", c.name, got, c.want)
		}
	}
}

// What was not captured of a stream is counted.
func TestTokensHidden(t *testing.T) {
	many := strings.Repeat(openAIToken("Hello"), 20)
	f, tr := play(t, asking().at(10).answer(5, 10, sseHead+chunk(many)).at(20).answer(5, 20, chunk(openAIUsage+openAIDone)+"0\r\n\r\n").at(40).as(0xa).reply(1, ok))
	m := f.requests[0].Calls[0].LLM
	if m.Chunks >= 20 || m.OutputTokens != 3 || !m.FromProtocol {
		t.Errorf("%s: the usage is known, the chunks are not", tokensOf(m))
	}
	if n := tr.Losses(); len(n) != 1 || n[0].Source != "llm" || n[0].Count != 1 {
		t.Errorf("losses %v", n)
	}
}

func TestForwards(t *testing.T) {
	token := chunk(openAIToken("x"))
	for _, c := range []struct {
		name, want string
		tape       *tape
	}{
		{"one by one", "0.75 1", asking().at(4.5).answer(5, 4, sseHead).enter(0xa).reply(1, sseHead).
			at(10.5).answer(5, 10, token).at(10.75).reply(1, token).at(20.5).answer(5, 20, token).at(21).reply(1, token).
			at(30).answer(5, 30, "0\r\n\r\n").at(31).reply(1, "0\r\n\r\n")},
		{"two go together", "11 1", asking().at(4.5).answer(5, 4, sseHead).enter(0xa).reply(1, sseHead).
			at(10.5).answer(5, 10, token).at(20.5).answer(5, 20, token).at(21).reply(1, token+token+"0\r\n\r\n")},
		{"what came and was not read yet goes with the next", "1 3", asking().at(4.5).answer(5, 4, sseHead).enter(0xa).reply(1, sseHead).
			at(10.5).answer(5, 10, token).at(11).reply(1, token).at(13.5).answer(5, 11, token).at(14).reply(1, token+"0\r\n\r\n")},
		{"an answer that does not stream", "", asking().at(4.5).answer(5, 4, sseHead).enter(0xa).
			at(10.5).answer(5, 10, token).at(20.5).answer(5, 20, token+"0\r\n\r\n").at(21).reply(1, ok)},
	} {
		f, _ := play(t, c.tape)
		if len(f.requests) != 1 {
			t.Fatalf("%s: %d requests", c.name, len(f.requests))
		}
		if got := delaysOf(f.requests[0]); got != c.want {
			t.Errorf("%s: delays %s ms, want %s", c.name, got, c.want)
		}
	}
}
