package load

import (
	"bytes"
	"encoding/json"
	"strings"
)

// payload is what one event of a stream means.
type payload struct {
	token bool   // carries text of a language model
	done  bool   // says that the stream is complete
	err   string // says that it failed
}

// chunk has the fields of the dialects that are understood:
//
//	{"type":"token","data":{"content":"…"}}          the suite's RAG API
//	{"choices":[{"delta":{"content":"…"}}]}          OpenAI chat; "text" instead of "delta": completions
//	{"message":{"content":"…"},"done":false}         Ollama chat; "response": Ollama generate
//	{"type":"content_block_delta",…}                 Anthropic
//
// and of their errors: {"type":"error",…} and {"error":…}.
type chunk struct {
	Type    string          `json:"type"`
	Error   json.RawMessage `json:"error"`
	Message json.RawMessage `json:"message"`
	Data    json.RawMessage `json:"data"`
	Detail  json.RawMessage `json:"detail"`
	Choices []struct {
		Text  string `json:"text"`
		Delta struct {
			Content   string `json:"content"`
			Reasoning string `json:"reasoning_content"`
		} `json:"delta"`
	} `json:"choices"`
	Response string `json:"response"`
	Done     bool   `json:"done"`
}

// understand reads a payload; name is the event's name in SSE.
func understand(name string, b []byte) payload {
	b = bytes.TrimSpace(b)
	if string(b) == "[DONE]" {
		return payload{done: true}
	}
	var c chunk
	if len(b) == 0 || b[0] != '{' || json.Unmarshal(b, &c) != nil {
		if name == "error" {
			return payload{err: string(b)}
		}
		return payload{}
	}
	if text := errorText(c, name); text != "" {
		return payload{err: text}
	}
	p := payload{done: c.Done || c.Type == "message_stop"}
	switch c.Type {
	case "token", "content_block_delta":
		p.token = true
	case "":
		p.token = c.Response != "" || len(c.Message) > 0 && c.Message[0] == '{' && textOf(c.Message, "content") != ""
		for _, choice := range c.Choices {
			p.token = p.token || choice.Delta.Content != "" || choice.Delta.Reasoning != "" || choice.Text != ""
		}
	}
	return p
}

// errorText returns what an error event says, "" when it is none.
func errorText(c chunk, name string) string {
	hasError := len(c.Error) > 0 && string(c.Error) != "null"
	if c.Type != "error" && name != "error" && (!hasError || c.Type != "") {
		return ""
	}
	for _, raw := range []json.RawMessage{c.Error, c.Data, c.Message, c.Detail} {
		if text := textOf(raw, "message", "error", "detail", "content"); text != "" {
			return text
		}
	}
	return "without a message"
}

// textOf returns raw when it is a string, else the first of its fields that is one.
func textOf(raw json.RawMessage, fields ...string) string {
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) == nil {
		return strings.TrimRight(s, "\n")
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return ""
	}
	for _, f := range fields {
		if v, ok := object[f]; ok && json.Unmarshal(v, &s) == nil && s != "" {
			return s
		}
	}
	return ""
}
