package sse

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/http1"
	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

func say(es []Event) string {
	var out []string
	for _, e := range es {
		s := string(e.Data)
		if e.Name != "" {
			s = e.Name + "=" + s
		}
		if e.Done {
			s += " done"
		}
		if e.Cut {
			s += " cut"
		}
		out = append(out, s)
	}
	return strings.Join(out, "|")
}

func TestFeed(t *testing.T) {
	for in, want := range map[string]string{
		"data: a\n\ndata:b\r\n\r\n":                                  "a|b",
		"event: token\ndata: a\ndata: b\nid: 1\n\n: ping\n\n":        "token=a\nb",
		"data: [DONE]\n\n":                                           "[DONE] done",
		"data\n\n\n\n":                                               "",
		"9\r\ndata: a\n\n\r\n5\r\ndata:\r\n4\r\n b\n\n\r\n0\r\n\r\n": "a|b", // an event over two chunks
	} {
		for cut := 4; cut <= len(in); cut++ {
			s := NewStream()
			var got []string
			for _, x := range []string{in[:cut], in[cut:]} {
				if g := say(s.Feed(protocol.Whole([]byte(x)))); g != "" {
					got = append(got, g)
				}
			}
			if g := strings.Join(got, "|"); g != want {
				t.Errorf("%q cut at %d: %q, want %q", in, cut, g, want)
			}
		}
	}
}

func TestGap(t *testing.T) {
	s := NewStream()
	got := say(s.Feed(protocol.Piece{N: 1000, Head: []byte("data: a\n\ndata: b"), Tail: []byte("zz\n\ndata: c\n\n")}))
	if got != "a|b cut|c" || s.Lost() != 1 {
		t.Errorf("%s, lost %d", got, s.Lost())
	}
	if got = say(s.Feed(protocol.Whole([]byte("data: " + strings.Repeat("x", 3*MaxData) + "\n\n")))); len(got) != MaxData+len(" cut") {
		t.Errorf("%d bytes of a long event", len(got))
	}
}

// TestCaptured reads uvicorn's stream behind the response's head.
func TestCaptured(t *testing.T) {
	for _, file := range []string{"http_h11.cap", "http_httptools.cap"} {
		responses, s := http1.NewResponses(), NewStream()
		in := false
		tokens, all, done := 0, 0, 0
		for _, r := range wiretest.Read(t, file) {
			if r.FromClient {
				continue
			}
			p := protocol.Whole(r.Bytes)
			for _, e := range responses.Feed(p) {
				if e.Begin {
					if in = strings.HasPrefix(e.Message.ContentType, "text/event-stream"); in {
						p = p.From(e.BodyOffset)
					}
				}
			}
			if !in {
				continue
			}
			for _, e := range s.Feed(p) {
				all++
				if strings.HasPrefix(string(e.Data), `{"type":"token"`) {
					tokens++
				}
				if e.Done {
					done++
				}
			}
		}
		if tokens != 3 || all != 6 || done != 1 {
			t.Errorf("%s: %d tokens, %d events, %d ends", file, tokens, all, done)
		}
	}
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte("9\r\ndata: a\n\n\r\n"), 3, 4, 5)
	f.Fuzz(func(t *testing.T, b []byte, cut, head, tail int) {
		cut, head, tail = min(max(cut, 0), len(b)), max(head, 0), max(tail, 0)
		s := NewStream()
		for _, x := range [][]byte{b[:cut], b[cut:], b} {
			for _, e := range s.Feed(protocol.Cut(x, head, tail)) {
				if len(e.Data) > MaxData+1 {
					t.Fatalf("%d bytes of data", len(e.Data))
				}
			}
		}
	})
}

func BenchmarkFeed(b *testing.B) {
	s, in := NewStream(), protocol.Whole([]byte("34\r\ndata: {\"type\":\"token\",\"data\":{\"content\":\" there\"}}\n\n\r\n"))
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Feed(in)) != 1 {
			b.Fatal("no event")
		}
	}
}
