package resp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

// command builds the array form.
func command(words ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return s
}

func sayCommands(cs []Command) string {
	var out []string
	for _, c := range cs {
		s := fmt.Sprintf("%s %d", c.Name, c.Keys)
		for flag, on := range map[string]bool{" blocking": c.Blocking, " pubsub": c.PubSub, " handshake": c.Handshake, " guessed": c.Guessed} {
			if on {
				s += flag
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestCommands(t *testing.T) {
	for in, want := range map[string]string{
		command("get", "k"):                                      "GET 1",
		command("MGET", "a", "b", "c"):                           "MGET 3",
		command("HMGET", "h", "f", "g"):                          "HMGET 2",
		command("JSON.MGET", "a", "b", "$"):                      "JSON.MGET 2",
		command("SET", "k", "GET"):                               "SET 0",
		command("client", "setinfo", "LIB-NAME", "x"):            "CLIENT SETINFO 0 handshake",
		command("CLIENT", "a\tsecret"):                           "CLIENT 0",
		command("CLIENT", "SECRETWORD"):                          "CLIENT 0",
		command("AUTH", "password"):                              "AUTH 0 handshake",
		command("CONFIG", "GET", "maxmemory"):                    "CONFIG GET 0",
		command("PING"):                                          "PING 0",
		command("BLPOP", "l", "1"):                               "BLPOP 0 blocking",
		command("XREAD", "COUNT", "1", "block", "0", "STREAMS"):  "XREAD 0 blocking",
		command("XREAD", "STREAMS", "BLOCK", "0"):                "XREAD 0",
		command("XREADGROUP", "GROUP", "BLOCK", "c", "STREAMS"):  "XREADGROUP 0",
		command("XREADGROUP", "GROUP", "g", "c", "BLOCK", "100"): "XREADGROUP 0 blocking",
		command("SUBSCRIBE", "ch"):                               "SUBSCRIBE 0 pubsub",
		command("FT.AGGREGATE", "idx"):                           "FT.AGGREGATE 0",
		command("\x00\x01", "idx"):                               "OTHER 0",
		command("", "idx"):                                       "OTHER 0",
		command("GET", "a") + command("SET", "b", "") + "PING\r\n" + command("DEL", "c"): "GET 1, SET 0, PING 0, DEL 0",
		"mget a b\r\n": "MGET 2",
		"\r\n*0\r\n" + command("GET", strings.Repeat("long", 500)): "GET 1",
	} {
		for cut := 0; cut <= len(in); cut++ {
			s := NewCommands()
			got := append([]Command(nil), s.Feed(protocol.Whole([]byte(in[:cut])))...)
			got = append(got, s.Feed(protocol.Whole([]byte(in[cut:])))...)
			if g := sayCommands(got); g != want || s.Lost() != 0 {
				t.Fatalf("%q cut at %d: %s, lost %d, want %s", in, cut, g, s.Lost(), want)
			}
		}
	}
}

func sayReplies(rs []Reply) string {
	var out []string
	for _, r := range rs {
		s := string(r.Kind)
		if r.Elements > 0 {
			s += fmt.Sprintf("%d", r.Elements)
		}
		if r.Nils > 0 {
			s += fmt.Sprintf(" nils %d", r.Nils)
		}
		if r.Nil {
			s += " nil"
		}
		if r.Int != 0 {
			s += fmt.Sprintf("%d", r.Int)
		}
		if r.Push {
			s += " push"
		}
		if r.Guessed {
			s += " guessed"
		}
		out = append(out, s+r.Error)
	}
	return strings.Join(out, ", ")
}

func TestReplies(t *testing.T) {
	for in, want := range map[string]string{
		"+OK\r\n": "+",
		"-ERR unknown command\r\n-MOVED 1 a:1\r\n":               "-ERR, -MOVED",
		"+OK\r\n-lower case\r\n":                                 "+, -ERR",
		":-42\r\n":                                               ":-42",
		"$5\r\nhello\r\n$0\r\n\r\n":                              "$, $",
		"$-1\r\n*-1\r\n_\r\n":                                    "$ nil, * nil, _ nil",
		"*3\r\n$1\r\na\r\n$-1\r\n*1\r\n$-1\r\n":                  "*3 nils 1",
		"*2\r\n-ERR inner\r\n+OK\r\n":                            "*2",
		"*0\r\n*1\r\n*0\r\n":                                     "*, *1",
		"%2\r\n+a\r\n:1\r\n+b\r\n_\r\n":                          "%4 nils 1",
		"~1\r\n#t\r\n,1.5\r\n(123\r\n=6\r\ntxt:ab\r\n":           "~1, ,, (, =",
		"!9\r\nOOM heavy\r\n":                                    "!OOM",
		">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n+OK\r\n":              ">2 push, +",
		"|1\r\n+ttl\r\n*1\r\n_\r\n*2\r\n:1\r\n_\r\n":             "*2 nils 1",
		"*2\r\n|1\r\n+a\r\n_\r\n:1\r\n:2\r\n":                    "*2",
		"$1000\r\n" + strings.Repeat("\r\n", 500) + "\r\n:7\r\n": "$, :7",
	} {
		for cut := 0; cut <= len(in); cut++ {
			s := NewReplies()
			got := append([]Reply(nil), s.Feed(protocol.Whole([]byte(in[:cut])))...)
			got = append(got, s.Feed(protocol.Whole([]byte(in[cut:])))...)
			if g := sayReplies(got); g != want || s.Lost() != 0 {
				t.Fatalf("%q cut at %d: %s, lost %d, want %s", in, cut, g, s.Lost(), want)
			}
		}
	}
}

func TestGaps(t *testing.T) {
	x := strings.Repeat("x", 5000)
	array := "*3\r\n" + strings.Repeat("$1000\r\n"+x[:1000]+"\r\n", 3)
	for name, c := range map[string]struct {
		replies    bool
		pieces     []string // each captured with a head of 64 and a tail of 32 bytes
		want       string
		lost       int
		head, tail int
	}{
		"a long value":                {pieces: []string{command("SET", "k", x), command("GET", "k")}, want: "SET 0, GET 1"},
		"a long value, then another":  {pieces: []string{command("SET", "k", x) + command("GET", "k")}, want: "SET 0, GET 1"},
		"the gap ends with the value": {pieces: []string{command("SET", "k", x) + command("GET", "k")}, tail: len(command("GET", "k")), want: "SET 0, GET 1"},
		"two long values":             {pieces: []string{command("MSET", "k", x, "l", x), command("GET", "k")}, want: "MSET 0 guessed, GET 1", lost: 1},
		"a value over two transfers": {pieces: []string{"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000\r\n" + x[:2000], x[:3000] + "\r\n"},
			want: "SET 0"},
		"joined midway":                 {pieces: []string{"GETx of some value\r\n", "more *1\r\n", command("GET", "k")}, want: "GET 1", lost: 1},
		"nothing captured":              {pieces: []string{command("SET", "k", x)}, head: -1, tail: -1, lost: 1},
		"reply with a long value":       {replies: true, pieces: []string{"$5000\r\n" + x + "\r\n+OK\r\n"}, want: "$, +"},
		"reply with long values":        {replies: true, pieces: []string{array, "+OK\r\n"}, want: "*3 guessed, +", lost: 1},
		"long values in two transfers":  {replies: true, pieces: []string{array[:2500], array[2500:], "+OK\r\n"}, want: "*3 guessed, +", lost: 1},
		"replies joined in a number":    {replies: true, pieces: []string{":x\r\n", "$-1\r\n"}, want: "$ nil", lost: 1},
		"replies joined in a value":     {replies: true, pieces: []string{"- some text\r\n", ":x\r\n", "$-1\r\n"}, want: "$ nil", lost: 1},
		"lost reply, the next recovers": {replies: true, pieces: []string{array[:2500], "+OK\r\n"}, want: "*3 guessed, +", lost: 1},
		"deeper than anything":          {replies: true, pieces: []string{strings.Repeat("*1\r\n", 15) + ":1\r\n" + strings.Repeat("*1\r\n", 40)}, head: 400, want: "*1, *1 guessed", lost: 1},
	} {
		t.Run(name, func(t *testing.T) {
			head, tail := max(0, c.head), max(0, c.tail)
			if c.head == 0 {
				head = 64
			}
			if c.tail == 0 {
				tail = 32
			}
			cs, rs := NewCommands(), NewReplies()
			var got []string
			for _, b := range c.pieces {
				s := ""
				if p := protocol.Cut([]byte(b), head, tail); c.replies {
					s = sayReplies(rs.Feed(p))
				} else {
					s = sayCommands(cs.Feed(p))
				}
				if s != "" {
					got = append(got, s)
				}
			}
			if g, lost := strings.Join(got, ", "), cs.Lost()+rs.Lost(); g != c.want || lost != c.lost {
				t.Errorf("%s, lost %d\nwant %s, lost %d", g, lost, c.want, c.lost)
			}
		})
	}
}

// TestCaptured replays redis-py against redis-server, RESP 2 and RESP 3.
func TestCaptured(t *testing.T) {
	for _, limit := range []int{1 << 20, 512, 256} {
		cs, rs := map[int]*Commands{}, map[int]*Replies{}
		count, replies, pushes, nils := map[string]int{}, 0, 0, 0
		lost := 0
		for _, r := range wiretest.Read(t, "redis.cap") {
			if cs[r.Connection] == nil {
				cs[r.Connection], rs[r.Connection] = NewCommands(), NewReplies()
			}
			p := protocol.Cut(r.Bytes, limit, 256)
			if r.FromClient {
				for _, c := range cs[r.Connection].Feed(p) {
					count[c.Name]++
				}
				continue
			}
			for _, r := range rs[r.Connection].Feed(p) {
				replies++
				nils += r.Nils
				if r.Nil {
					nils++
				}
				if r.Push {
					pushes++
				}
			}
		}
		sent := 0
		for _, n := range count {
			sent += n
		}
		for c := range cs {
			lost += cs[c].Lost() + rs[c].Lost()
		}
		if lost != 0 {
			t.Errorf("captured %d bytes: lost %d times", limit, lost)
		}
		for name, want := range map[string]int{"GET": 18, "MGET": 2, "HELLO": 2, "CLIENT SETINFO": 8, "SUBSCRIBE": 2, "EXEC": 2, "SCRIPT LOAD": 2, "OTHER": 0, "AUTH": 0} {
			if count[name] != want {
				t.Errorf("captured %d bytes: %d × %s, want %d", limit, count[name], name, want)
			}
		}
		// Each SUBSCRIBE's published message comes on top: a plain array in RESP 2, a push in RESP 3,
		// where the answer to SUBSCRIBE is a push as well.
		if replies != sent+2 || pushes != 2 {
			t.Errorf("captured %d bytes: %d replies (%d pushes) to %d commands", limit, replies, pushes, sent)
		}
		if nils != 2*(1+2+1+1+5) {
			t.Errorf("captured %d bytes: %d nils", limit, nils)
		}
	}
}

func FuzzFeed(f *testing.F) {
	for _, r := range wiretest.Read(f, "redis.cap") {
		f.Add(r.Bytes, 10, 64, 32)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut, head, tail int) {
		cut, head, tail = min(max(cut, 0), len(b)), max(head, 0), max(tail, 0)
		cs, rs := NewCommands(), NewReplies()
		for _, x := range [][]byte{b[:cut], b[cut:], b} {
			for _, c := range cs.Feed(protocol.Cut(x, head, tail)) {
				if c.Name == "" || len(c.Name) > 2*longestName+1 || c.Keys < 0 {
					t.Fatalf("%+v", c)
				}
			}
			for _, r := range rs.Feed(protocol.Cut(x, head, tail)) {
				if r.Kind == 0 || len(r.Error) > 24 {
					t.Fatalf("%+v", r)
				}
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s, in := NewCommands(), protocol.Whole([]byte(command("GET", "session:1234567890")))
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Feed(in)) != 1 {
			b.Fatal("no command")
		}
	}
}

func BenchmarkReply(b *testing.B) {
	s, in := NewReplies(), protocol.Cut([]byte("$5000\r\n"+strings.Repeat("x", 5000)+"\r\n"), 512, 256)
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Feed(in)) != 1 {
			b.Fatal("no reply")
		}
	}
}

func BenchmarkArrayOf100(b *testing.B) {
	s, in := NewReplies(), protocol.Whole([]byte("*100\r\n"+strings.Repeat("$3\r\nabc\r\n", 100)))
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Feed(in)) != 1 {
			b.Fatal("no reply")
		}
	}
}
