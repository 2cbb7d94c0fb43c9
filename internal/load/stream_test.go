package load

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ragscope/ragscope/internal/scenario"
)

func TestUnderstand(t *testing.T) {
	tests := map[string]struct {
		name, event string
		want        payload
	}{
		"end":              {"", `[DONE]`, payload{done: true}},
		"metadata":         {"", `{"type":"metadata","data":{"session_id":"s"}}`, payload{}},
		"suite token":      {"", `{"type":"token","data":{"content":"Hi"}}`, payload{token: true}},
		"suite error":      {"", `{"type":"error","error":"LLM unavailable"}`, payload{err: "LLM unavailable"}},
		"suite error data": {"", `{"type":"error","data":{"message":"no model"}}`, payload{err: "no model"}},
		"silent error":     {"", `{"type":"error"}`, payload{err: "without a message"}},
		"openai role":      {"", `{"choices":[{"delta":{"role":"assistant","content":""}}]}`, payload{}},
		"openai":           {"", `{"choices":[{"delta":{"content":"Hi"}}]}`, payload{token: true}},
		"openai text":      {"", `{"choices":[{"text":"Hi"}]}`, payload{token: true}},
		"openai error":     {"", `{"error":{"message":"overloaded","code":503}}`, payload{err: "overloaded"}},
		"ollama chat":      {"", `{"message":{"role":"assistant","content":"Hi"},"done":false}`, payload{token: true}},
		"ollama generate":  {"", `{"response":"Hi","done":false}`, payload{token: true}},
		"ollama end":       {"", `{"message":{"content":""},"done":true}`, payload{done: true}},
		"ollama error":     {"", `{"error":"model not found"}`, payload{err: "model not found"}},
		"anthropic":        {"content_block_delta", `{"type":"content_block_delta","delta":{"text":"Hi"}}`, payload{token: true}},
		"no error":         {"", `{"type":"metadata","error":null}`, payload{}},
		"named error":      {"error", `boom`, payload{err: "boom"}},
		"text":             {"", `hello`, payload{}},
		"broken":           {"", `{"type":"token"`, payload{}},
	}
	for name, tt := range tests {
		if got := understand(tt.name, []byte(tt.event)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestReadStream(t *testing.T) {
	const answer = ": hello\r\nevent: x\r\ndata: {\"type\":\"metadata\"}\r\n\r\n" +
		"data: {\"type\":\"token\",\ndata: \"data\":{\"content\":\"a\"}}\n\n" +
		"data: {\"type\":\"token\",\"data\":{\"content\":\"b\"}}\n\ndata:[DONE]\n\n"
	tests := map[string]struct {
		text   string
		stream scenario.Stream
		check  scenario.Check
		tokens int
		want   string
	}{
		"whole":              {answer, scenario.SSE, scenario.Check{Done: true}, 2, ""},
		"no end":             {strings.Replace(answer, "data:[DONE]\n\n", "", 1), scenario.SSE, scenario.Check{Done: true}, 2, "the stream ended without [DONE]"},
		"end without a line": {strings.TrimRight(answer, "\n"), scenario.SSE, scenario.Check{Done: true}, 2, ""},
		"contains":           {answer, scenario.SSE, scenario.Check{Contains: `"b"`}, 2, ""},
		"does not contain":   {answer, scenario.SSE, scenario.Check{Contains: `"c"`}, 2, `the answer does not contain "\"c\""`},
		"error inside":       {"data: {\"type\":\"error\",\"error\":\"x\"}\n\ndata: [DONE]\n\n", scenario.SSE, scenario.Check{Done: true}, 0, "error in the stream: x"},
		"ndjson":             {"{\"message\":{\"content\":\"a\"}}\n{\"message\":{\"content\":\"b\"}}\n{\"done\":true}", scenario.NDJSON, scenario.Check{Done: true}, 2, ""},
		"nothing":            {"", scenario.SSE, scenario.Check{}, 0, ""},
		"long event":         {"data: {\"type\":\"token\",\"data\":\"" + strings.Repeat("x", 100_000) + "\"}\n\n", scenario.SSE, scenario.Check{}, 1, ""},
	}
	for name, tt := range tests {
		for way, body := range map[string]io.Reader{"at once": strings.NewReader(tt.text), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.text))} {
			var a Answer
			err := readStream(&a, &Request{Stream: tt.stream, Check: tt.check}, body)
			if err != nil || a.Failure.String() != tt.want || a.Tokens != tt.tokens || a.Bytes != int64(len(tt.text)) {
				t.Errorf("%s, %s: %d tokens, %d bytes, failure %q, %v; want %d tokens, failure %q", name, way, a.Tokens, a.Bytes, a.Failure, err, tt.tokens, tt.want)
			}
			if len(a.Gaps) != max(a.Tokens-1, 0) || a.FirstToken.IsZero() != (a.Tokens == 0) {
				t.Errorf("%s, %s: %d gaps between %d tokens", name, way, len(a.Gaps), a.Tokens)
			}
		}
	}
}

func TestEndlessEventIsAnError(t *testing.T) {
	var a Answer
	endless := io.MultiReader(strings.NewReader("data: "), strings.NewReader(strings.Repeat("x", maxEvent+1<<20)))
	if err := readStream(&a, &Request{Stream: scenario.SSE}, endless); err == nil {
		t.Error("an event longer than the limit was read")
	}
}

func FuzzReadStream(f *testing.F) {
	f.Add("data: {\"type\":\"token\"}\n\ndata: [DONE]\n\n", true)
	f.Add("{\"error\":{\"message\":1}}\n", false)
	f.Fuzz(func(t *testing.T, text string, sse bool) {
		stream := scenario.NDJSON
		if sse {
			stream = scenario.SSE
		}
		var a Answer
		if err := readStream(&a, &Request{Stream: stream}, strings.NewReader(text)); err == nil && a.Bytes != int64(len(text)) {
			t.Errorf("%d of %d bytes", a.Bytes, len(text))
		}
	})
}
