package truth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAnswerSize(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		size         int
		mistake      string
	}{
		{"whole", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 40, ""},
		{"any case, body still to come", "HTTP/1.1 200 OK\r\nContent-Length:200\r\nA: b\r\n\r\n", 245, ""},
		{"no body", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 46, ""},
		{"head not complete", "HTTP/1.1 200 OK\r\ncontent-le", 0, ""},
		{"refused", "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", 0, "500"},
		{"chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 0, "without a content length"},
		{"not a number", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", 0, "content-length: x"},
		{"not HTTP", "\r\n\r\n", 0, "answers"},
	} {
		size, err := answerSize([]byte(c.answer))
		if size != c.size || (err == nil) != (c.mistake == "") || err != nil && !strings.Contains(err.Error(), c.mistake) {
			t.Errorf("%s: %d, %v; want %d and an error with %q", c.name, size, err, c.size, c.mistake)
		}
	}
}

// TestClosedCounts holds the client to what the server counted, with answers of one and of many
// reads, as fast as it can and at a rate.
func TestClosedCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		body int
		rate float64
	}{{"short", 2, 0}, {"long", 300_000, 0}, {"at a rate", 2, 200}} {
		t.Run(c.name, func(t *testing.T) {
			var served atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				served.Add(1)
				w.Header().Set("Content-Length", fmt.Sprint(c.body))
				_, _ = io.WriteString(w, strings.Repeat("x", c.body))
			}))
			defer s.Close()
			address := s.Listener.Addr().String()
			client, err := Dial(address, 4, c.rate, Wire("GET", address, "/", ""), Wire("POST", address, "/", `{"a":1}`))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for range 2 { // the second run starts on idle connections
				before := served.Load()
				w, err := client.Run(context.Background(), 200*time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				if n := int(served.Load() - before); w.Requests != n || n < 8 || len(w.Latencies) != n {
					t.Errorf("the client counts %d requests and %d latencies, the server %d", w.Requests, len(w.Latencies), n)
				}
				if c.rate > 0 && w.Requests > int(c.rate*0.2)+52 {
					t.Errorf("%d requests in 0.2 s, offered are %.0f a second", w.Requests, c.rate)
				}
			}
		})
	}
}

func TestClosedReportsAHangUp(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer s.Close()
	address := s.Listener.Addr().String()
	client, err := Dial(address, 1, 0, Wire("GET", address, "/", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Run(context.Background(), time.Second); err == nil {
		t.Error("a connection that the server closed is no error")
	}
}

func TestOpenSendsAtItsRate(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Request-Id") == "" {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer s.Close()
	sent := Open(context.Background(), s.Listener.Addr().String(), "a", 500, 400*time.Millisecond, 7, func(int) string { return "/" })
	if n := len(sent); n < 140 || n > 260 { // 200 ± 4 standard deviations
		t.Errorf("%d requests at 500 a second in 0.4 s", n)
	}
	for _, x := range sent {
		if x.Err != nil || x.Status != http.StatusOK {
			t.Fatalf("%s: status %d, %v", x.ID, x.Status, x.Err)
		}
	}
}
