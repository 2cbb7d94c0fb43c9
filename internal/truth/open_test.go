package truth

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// A server that closes a connection after an answer, without a word, is asked again on a new one:
// every request reaches it once.
func TestTogetherClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var read atomic.Int64
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					read.Add(1)
					fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	sent := Together(t.Context(), l.Addr().String(), "closed", 4, 100, func(int) string { return "/" })
	for _, s := range sent {
		if s.Err != nil || s.Status != 200 {
			t.Errorf("%s: status %d, %v", s.ID, s.Status, s.Err)
		}
	}
	if n := read.Load(); n != int64(len(sent)) {
		t.Errorf("the server read %d requests, %d were sent", n, len(sent))
	}
}
