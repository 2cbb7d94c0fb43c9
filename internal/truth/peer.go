package truth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// serverTime is how long a peer of ours takes for a call: 1 to 6 ms, different for each and the
// same for the same call.
func serverTime(call string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(call))
	return time.Millisecond + time.Duration(h.Sum32()%5000)*time.Microsecond
}

// webPeer speaks as much of HTTP as clients of web services, OpenAI and Ollama need. It listens
// until stop is called.
func webPeer() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /item", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(serverTime(r.URL.RawQuery))
		fmt.Fprint(w, `{"item":1}`)
	})
	mux.HandleFunc("POST /v1/chat/completions", talk(func(i, n int, stream bool) string {
		const head = `{"id":"c","created":1,"model":"stand-in","object":"chat.completion`
		switch {
		case !stream:
			return head + `","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"` + strings.Repeat("word ", n) + `"}}],"usage":{"prompt_tokens":7,"completion_tokens":` + fmt.Sprint(n) + `,"total_tokens":15}}`
		case i == n:
			return "data: [DONE]\n\n"
		}
		return "data: " + head + `.chunk","choices":[{"index":0,"delta":{"content":"word "}}]}` + "\n\n"
	}))
	mux.HandleFunc("POST /api/chat", talk(func(i, n int, stream bool) string {
		if i == n || !stream {
			return `{"model":"stand-in","message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":7,"eval_count":` + fmt.Sprint(n) + "}\n"
		}
		return `{"model":"stand-in","message":{"role":"assistant","content":"word "},"done":false}` + "\n"
	}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return l.Addr().String(), serving(func() error { return server.Serve(l) }, func() { _ = server.Close() }), nil
}

// talk answers in words, one a millisecond; part gives the i-th of n pieces.
func talk(part func(i, n int, stream bool) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Stream bool `json:"stream"`
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		const words = 6
		w.Header().Set("Content-Type", "application/json")
		if !ask.Stream {
			time.Sleep(words * time.Millisecond)
			fmt.Fprint(w, part(words, words, false))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range words + 1 {
			time.Sleep(time.Millisecond)
			fmt.Fprint(w, part(i, words, true))
			w.(http.Flusher).Flush()
		}
	}
}

// rpcPeer answers every gRPC method with the bytes it was sent. streams is the most that it allows
// on a connection, 0: no limit.
func rpcPeer(streams uint32) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	options := []grpc.ServerOption{grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		var b []byte
		if err := s.RecvMsg(&b); err != nil {
			return err
		}
		t := time.NewTimer(serverTime(string(b)))
		defer t.Stop()
		select {
		case <-s.Context().Done():
			return context.Cause(s.Context())
		case <-t.C:
		}
		return s.SendMsg(&b)
	})}
	if streams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(streams))
	}
	server := grpc.NewServer(options...)
	return l.Addr().String(), serving(func() error { return server.Serve(l) }, server.Stop), nil
}

// raw passes messages as they are.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(v any) ([]byte, error) {
	if b, ok := v.(*[]byte); ok {
		return *b, nil
	}
	return nil, errors.New("not bytes")
}

func (raw) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return errors.New("not bytes")
	}
	*b = append([]byte(nil), data...)
	return nil
}

// serving runs a server until what it returns is called.
func serving(serve func() error, stop func()) func() {
	var wait sync.WaitGroup
	wait.Go(func() { _ = serve() }) // its error is that it was stopped
	return func() { stop(); wait.Wait() }
}
