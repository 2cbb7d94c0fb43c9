package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

// say writes events as a readable line: "+GET /x" begins, "-" ends, "?" guessed, "<" before.
func say(es []Event) string {
	var out []string
	for _, e := range es {
		s := ""
		if e.Begin {
			s = "+" + e.Message.Method
			if e.Message.Status != 0 {
				s = fmt.Sprintf("+%d", e.Message.Status)
			}
			if e.Message.Target != "" {
				s += " " + e.Message.Target
			}
		}
		if e.End {
			s += "-"
		}
		if e.Guessed {
			s += "?"
		}
		if e.Before {
			s += "<"
		}
		out = append(out, s)
	}
	return strings.Join(out, ",")
}

func TestFeed(t *testing.T) {
	long := strings.Repeat("a", 700)
	piece := func(n int, headTail ...string) protocol.Piece {
		p := protocol.Piece{N: n, Head: []byte(headTail[0])}
		if len(headTail) > 1 {
			p.Tail = []byte(headTail[1])
		}
		return p
	}
	whole := func(s string) protocol.Piece { return protocol.Whole([]byte(s)) }
	for name, c := range map[string]struct {
		responses bool
		pieces    []protocol.Piece
		want      string // events of the pieces, separated by |
		lost      int
	}{
		"body-less get": {pieces: []protocol.Piece{whole("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n")}, want: "+GET /a?b=c-"},
		"pipelined": {pieces: []protocol.Piece{whole("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nPOST /c HTTP/1.1\r\nContent-Length: 4\r\n\r\nab")},
			want: "+GET /a-,+GET /b-,+POST /c"},
		"head and body apart": {pieces: []protocol.Piece{whole("POST /c HTTP/1.1\r\ncontent-length: 4\r\n\r\n"), whole("ab"), whole("cd"), whole("GET / HTTP/1.1\r\n\r\n")},
			want: "+POST /c||-|+GET /-"},
		"head in three pieces": {pieces: []protocol.Piece{whole("GE"), whole("T / HTTP/1.1\r\nHo"), whole("st: x\r\n\r\n")}, want: "||+GET /-"},
		"body through a gap":   {pieces: []protocol.Piece{piece(41+1000, "POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n"), piece(1000, "GET / HTTP/1.1\r\n\r\n"), whole("GET /n HTTP/1.1\r\n\r\n")}, want: "+POST /|-|+GET /n-"},
		"body ends in a gap with the next message": {pieces: []protocol.Piece{piece(500, "POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n"), whole("GET /n HTTP/1.1\r\n\r\n")},
			want: "+POST /-|+GET /n-", lost: 1},
		"head's end in the tail": {pieces: []protocol.Piece{piece(2000, "POST / HTTP/1.1\r\nContent-Length: 4\r\nCookie: aaa", "aaa\r\nX-Request-ID: 7\r\n\r\nab"), whole("cd")},
			want: "+POST /|-"},
		"head's end unseen, the body fits":           {pieces: []protocol.Piece{piece(2000, "POST / HTTP/1.1\r\nContent-Length: 900\r\nCookie: aaa", `{"a": 1}`)}, want: "+POST /-?", lost: 1},
		"cut get ends with its head":                 {pieces: []protocol.Piece{piece(2000, "GET / HTTP/1.1\r\nCookie: aaa", "aaa\r\n\r\n")}, want: "+GET /-"},
		"cut post, length unseen":                    {pieces: []protocol.Piece{piece(2000, "POST / HTTP/1.1\r\nCookie: aaa", "aaa\r\n\r\n"), whole("body"), whole("GET /n HTTP/1.1\r\n\r\n")}, want: "+POST /||-?<,+GET /n-", lost: 1},
		"a blank line in a body is not a head's end": {pieces: []protocol.Piece{piece(2000, "POST / HTTP/1.1\r\nContent-Length: 1000\r\nCookie: aaa", "some {\"text\"\r\n{: x\r\n\r\nmore")}, want: "+POST /-?", lost: 1},
		"line feeds before a request":                {pieces: []protocol.Piece{whole("\r\nGET / HTTP/1.1\r\n\r\n")}, want: "+GET /-"},
		"joined midway, in two bytes that are left": {responses: true, want: "|+200|-", lost: 1,
			pieces: []protocol.Piece{whole("{}"), whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), whole("{}")}},
		"joined midway, before the rest of a request": {pieces: []protocol.Piece{whole("a=1"), whole("GET / HTTP/1.1\r\n\r\n")}, want: "|+GET /-", lost: 1},
		"a start line in pieces": {responses: true, want: "||+200|-",
			pieces: []protocol.Piece{whole("HT"), whole("TP/1.1 2"), whole("00 OK\r\nContent-Length: 2\r\n\r\n"), whole("{}")}},
		"joined midway":                  {pieces: []protocol.Piece{whole("rest of some body"), whole("more"), whole("GET / HTTP/1.1\r\n\r\n")}, want: "||+GET /-", lost: 1},
		"http2 preface":                  {pieces: []protocol.Piece{whole("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04"), whole("\x00\x00\x00\x04\x01\x00\x00\x00\x00")}, want: "+|"},
		"websocket":                      {pieces: []protocol.Piece{whole("GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), whole("\x81\x85abcdefghi")}, want: "+GET /ws-|"},
		"long line":                      {pieces: []protocol.Piece{whole("GET /" + long), whole(long + " HTTP/1.1\r\n"), whole("\r\n")}, want: "||+GET /" + long + long + "-"},
		"response":                       {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")}, want: "+200-"},
		"interim response":               {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 100 Continue\r\n\r\n"), whole("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")}, want: "|+201-"},
		"no content":                     {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")}, want: "+204-,+304-"},
		"switching protocols":            {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), whole("\x81\x01a")}, want: "+101-|"},
		"until close":                    {responses: true, pieces: []protocol.Piece{whole("HTTP/1.0 200 OK\r\n\r\nabc"), whole("HTTP/1.1 not a status")}, want: "+200||-<"},
		"chunked":                        {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), whole("5\r\nhello\r\n"), whole("0\r\n"), whole("\r\n")}, want: "+200|||-"},
		"chunked through a gap":          {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), piece(5+1000+2+5, "3e8\r\nabc", "ab\r\n0\r\n\r\n")}, want: "+200|-"},
		"chunk sizes lost, the end seen": {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), piece(9000, "8\r\nabc", "ab\r\n0\r\n\r\n"), whole("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}, want: "+200|-?|+200-", lost: 1},
		"chunk sizes lost, a chunk at the next beginning": {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), piece(9000, "8\r\nabc", "ab\r\n"), whole("2\r\nok\r\n0\r\n\r\n")}, want: "+200||-", lost: 1},
		"chunk sizes lost, next response":                 {responses: true, pieces: []protocol.Piece{whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), piece(9000, "8\r\nabc", "ab\r\n"), whole("HTTP/1.1 204 No\r\n\r\n")}, want: "+200||-?<,+204-", lost: 1},
		"http2 server":                                    {responses: true, pieces: []protocol.Piece{whole("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64")}, want: "+"},
		"no capture at all":                               {responses: true, pieces: []protocol.Piece{{N: 100}, whole("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}, want: "|+200-", lost: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewRequests()
			if c.responses {
				s = NewResponses()
			}
			var got []string
			for _, p := range c.pieces {
				got = append(got, say(s.Feed(p)))
			}
			if name == "until close" {
				got = append(got, say(s.Close()))
			}
			if g := strings.Join(got, "|"); g != c.want || s.Lost() != c.lost {
				t.Errorf("got  %s lost %d\nwant %s lost %d", g, s.Lost(), c.want, c.lost)
			}
		})
	}
}

func TestHead(t *testing.T) {
	in := "POST /v1/chat HTTP/1.1\r\nHOST: api:80\r\nUser-Agent: curl\r\nContent-Type: application/json\r\nAuthorization: Bearer secret\r\n" +
		"X-Request-Id:  r1 \r\ntraceparent: 00-a-b-01\r\nExpect: 100-continue\r\nConnection: TE, close\r\nContent-Length: 3\r\n\r\nabc"
	want := Message{Method: "POST", Target: "/v1/chat", Proto: "HTTP/1.1", ContentType: "application/json", ContentLength: 3,
		Expect100: true, RequestID: "r1", TraceParent: "00-a-b-01", Host: "api:80", UserAgent: "curl"}
	for cut := range len(in) - 3 { // wherever the head is split
		s := NewRequests()
		es := append([]Event(nil), s.Feed(protocol.Whole([]byte(in[:cut])))...)
		if strings.Contains(string(s.line[:cap(s.line)]), "secret") {
			t.Fatalf("cut at %d: a header that is not ours was kept", cut)
		}
		es = append(es, s.Feed(protocol.Whole([]byte(in[cut:])))...)
		if len(es) != 1 || *es[0].Message != want || !es[0].End {
			t.Fatalf("cut at %d: %+v", cut, es)
		}
		if got, want := es[0].BodyOffset, len(in)-3-cut; got != want {
			t.Errorf("cut at %d: body at %d, want %d", cut, got, want)
		}
		if cut > 0 && es[0].Earlier != 1 {
			t.Errorf("cut at %d: head began %d pieces before, want 1", cut, es[0].Earlier)
		}
	}
}

func TestAnswerToHeadHasNoBody(t *testing.T) {
	s := NewResponses()
	s.NextHasNoBody()
	got := say(s.Feed(protocol.Whole([]byte("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"))))
	if got != "+200-,+200" {
		t.Errorf("got %s", got)
	}
}

// TestCaptured replays httpx against uvicorn, captured in pieces of different sizes.
func TestCaptured(t *testing.T) {
	for _, file := range []string{"http_h11.cap", "http_httptools.cap"} {
		for _, limit := range []int{65536, 512, 128} {
			req, resp := NewRequests(), NewResponses()
			var got []string
			for _, r := range wiretest.Read(t, file) {
				p := protocol.Cut(r.Bytes, limit, 256)
				if r.FromClient {
					for _, e := range req.Feed(p) {
						if e.Begin && e.Message.Method == "HEAD" {
							resp.NextHasNoBody()
						}
						got = append(got, say([]Event{e}))
					}
				} else if s := say(resp.Feed(p)); s != "" {
					got = append(got, s)
				}
			}
			if req.Lost()+resp.Lost() != 0 {
				t.Errorf("%s at %d bytes: lost %d and %d times", file, limit, req.Lost(), resp.Lost())
			}
			const want = "GET /health- 200- POST /api/v1/search?debug=1- 200- HEAD /health- 405- GET /missing- 404- POST /api/v1/chat/stream- 200- GET /health- 200-"
			if g := strings.NewReplacer("+", "", " -", "-").Replace(strings.Join(got, " ")); g != want {
				t.Errorf("%s at %d bytes:\ngot  %s\nwant %s", file, limit, g, want)
			}
		}
	}
}

func FuzzFeed(f *testing.F) {
	for _, r := range wiretest.Read(f, "http_h11.cap") {
		f.Add(r.Bytes, 100, 30, 40)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut, head, tail int) {
		for _, s := range []*Stream{NewRequests(), NewResponses()} {
			cut := min(max(cut, 0), len(b))
			begun, ended := 0, 0
			for _, x := range [][]byte{b[:cut], b[cut:], b} {
				for _, e := range s.Feed(protocol.Cut(x, max(head, 0), max(tail, 0))) {
					if e.Message == nil {
						t.Fatal("an event without its message")
					}
					if e.BodyOffset > len(x) {
						t.Fatal("body behind the piece")
					}
					if e.Begin {
						begun++
					}
					if e.End {
						ended++
					}
				}
			}
			s.Close()
			if ended > begun {
				t.Fatalf("%d ends of %d messages", ended, begun)
			}
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	var in protocol.Piece
	for _, r := range wiretest.Read(b, "http_h11.cap") {
		if r.FromClient {
			in = protocol.Whole(r.Bytes)
			break
		}
	}
	s := NewRequests()
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Feed(in)) != 1 {
			b.Fatal("no request")
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	in := protocol.Whole([]byte("HTTP/1.1 200 OK\r\ndate: Wed, 25 Nov 2026 08:08:47 GMT\r\nserver: uvicorn\r\ncontent-length: 15\r\ncontent-type: application/json\r\n\r\n{\"status\":\"ok\"}"))
	s := NewResponses()
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Feed(in)) != 1 {
			b.Fatal("no response")
		}
	}
}

// A message whose end was lost is not told to end when the next one begins, once that is known.
func TestForget(t *testing.T) {
	s := NewResponses()
	s.Feed(protocol.Piece{N: 47, Head: []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")})
	s.Forget()
	for _, text := range []string{"5\r\nhello\r\n", "HTTP/1.1 204 No Content\r\n\r\n"} {
		for _, e := range s.Feed(protocol.Piece{N: len(text), Head: []byte(text)}) {
			if !e.Begin || !e.End || e.Message.Status != 204 {
				t.Errorf("%q: %+v", text, e)
			}
		}
	}
}
