package truth

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// llmServer speaks the streams of OpenAI and Ollama, in chunks that have nothing to do with their
// tokens, and remembers when it wrote what.
type llmServer struct {
	Address string
	server  *http.Server
	mu      sync.Mutex
	written map[string][]float64 // by question: seconds on CLOCK_MONOTONIC at which each token was complete
}

// tokensPerAnswer and tokenGap are what each answer is made of.
const (
	tokensPerAnswer = 8
	tokenGap        = 6 * time.Millisecond
	promptTokens    = 17
)

func newLLMServer() (*llmServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &llmServer{Address: l.Addr().String(), written: map[string][]float64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, openAI{}) })
	mux.HandleFunc("/api/chat", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, ollamaAPI{}) })
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(l) }() // ends with Close
	return s, nil
}

func (s *llmServer) Close() { _ = s.server.Close() }

// dialect is how an API writes a stream.
type dialect interface {
	contentType() string
	first() string // before the first token; "" for nothing
	token(text string) string
	last() string
}

type openAI struct{}

func (openAI) contentType() string { return "text/event-stream" }
func (openAI) first() string {
	return `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}` + "\n\n"
}
func (openAI) token(text string) string {
	return fmt.Sprintf(`data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}],"usage":null}`+"\n\n", text)
}
func (openAI) last() string {
	return fmt.Sprintf(`data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`+"\n\ndata: [DONE]\n\n",
		promptTokens, tokensPerAnswer, promptTokens+tokensPerAnswer)
}

type ollamaAPI struct{}

func (ollamaAPI) contentType() string { return "application/x-ndjson" }
func (ollamaAPI) first() string       { return "" }
func (ollamaAPI) token(text string) string {
	return fmt.Sprintf(`{"model":"test","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":%q},"done":false}`+"\n", text)
}
func (ollamaAPI) last() string {
	return fmt.Sprintf(`{"model":"test","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":1,"prompt_eval_count":%d,"eval_count":%d}`+"\n", promptTokens, tokensPerAnswer)
}

func (s *llmServer) answer(w http.ResponseWriter, r *http.Request, d dialect) {
	var body struct {
		Messages []struct{ Content string }
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Messages) == 0 {
		http.Error(w, "no messages", http.StatusBadRequest)
		return
	}
	question := body.Messages[0].Content
	w.Header().Set("Content-Type", d.contentType())
	if text := d.first(); text != "" {
		write(w, text)
	}
	var at []float64
	for i := 0; i < tokensPerAnswer; {
		time.Sleep(tokenGap)
		n := s.step(w, question, d, &i)
		now := monotonic()
		for range n {
			at = append(at, now)
		}
	}
	s.mu.Lock()
	s.written[question] = at
	s.mu.Unlock()
	time.Sleep(tokenGap)
	write(w, d.last())
}

// step writes the next tokens as the question's name says, and returns how many are complete. The
// clock is read right after: the write is done within microseconds, and what follows it is not part of it.
func (s *llmServer) step(w http.ResponseWriter, question string, d dialect, i *int) int {
	token := func() string {
		*i++
		return d.token(fmt.Sprint("t", *i, " "))
	}
	switch {
	case strings.Contains(question, "together") && *i+1 < tokensPerAnswer: // two in a chunk
		write(w, token()+token())
		return 2
	case strings.Contains(question, "apart"): // one over two chunks and two transfers
		text := token()
		write(w, text[:len(text)/2])
		time.Sleep(2 * time.Millisecond)
		write(w, text[len(text)/2:])
		return 1
	case strings.Contains(question, "across") && *i+1 < tokensPerAnswer: // a chunk ends within the second
		text := token() + token()
		cut := len(text) * 3 / 4
		write(w, text[:cut])
		write(w, text[cut:])
		return 2
	default:
		write(w, token())
		return 1
	}
}

func write(w http.ResponseWriter, text string) {
	_, _ = w.Write([]byte(text))
	w.(http.Flusher).Flush()
}
