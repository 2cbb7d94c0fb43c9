package bolt

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

// chunk frames a message in one chunk.
func chunk(b string) string {
	return string([]byte{byte(len(b) >> 8), byte(len(b))}) + b + "\x00\x00"
}

func run(query string) string {
	return chunk("\xB3\x10\xD1" + string([]byte{byte(len(query) >> 8), byte(len(query))}) + query + "\xA0\xA0")
}

var (
	pull   = chunk("\xB1\x3F\xA1\x81n\x14")
	record = chunk("\xB1\x71\x91\xD0\x50" + strings.Repeat("x", 80))
	done   = chunk("\xB1\x70\xA1\x84type\x81r")
	more   = chunk("\xB1\x70\xA1\x88has_more\xC3")
)

func say(ms []Message) string {
	var out []string
	for _, m := range ms {
		s := m.Kind
		if m.Operation != "" {
			s += " " + m.Operation
		}
		if m.Code != "" {
			s += " " + m.Code
		}
		if m.HasMore {
			s += " more"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestClient(t *testing.T) {
	offer := magic + "\x00\x00\x01\xFF\x00\x08\x08\x05\x00\x02\x04\x04\x00\x00\x00\x03"
	hello := chunk("\xB1\x01\xA1\x8Auser_agent\x83abc")
	for in, want := range map[string]string{
		offer + hello:                                                      "HELLO",
		offer + "\x00\x00\x08\x05\x00" + hello:                             "HELLO",
		offer + "\x00\x00\x08\x05\xFF\x01" + hello:                         "HELLO",
		run("MATCH (n) RETURN n") + pull:                                   "RUN MATCH, PULL",
		"\x00\x03\xB3\x10\x85\x00\x05MATCH\x00\x02\xA0\xA0\x00\x00" + pull: "RUN MATCH, PULL", // one message in chunks
		pull + "\x00\x00\x00\x00" + pull:                                   "PULL, PULL",      // kept alive between
		run("MERGE (n {key: '" + strings.Repeat("s", 1000) + "'})"):        "RUN MERGE",
		run("") + chunk("\xB0\x0F"):                                        "RUN OTHER, RESET",
		chunk("\xB1\x6A\xA1\x8Bcredentials\x86secret"):                     "LOGON",
	} {
		for cut := 4; cut <= len(in); cut++ {
			c := NewClient()
			got := append([]Message(nil), c.Feed(protocol.Whole([]byte(in[:cut])))...)
			got = append(got, c.Feed(protocol.Whole([]byte(in[cut:])))...)
			if g := say(got); g != want || c.Lost() != 0 {
				t.Fatalf("%q cut at %d: %s, lost %d, want %s", in, cut, g, c.Lost(), want)
			}
			if strings.Contains(string(c.kept[:]), "secret") {
				t.Fatal("a credential was kept")
			}
		}
	}
}

func TestServer(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []protocol.Piece
		want   string
		lost   int // -1: one, that may be excused
	}{
		"version":           {pieces: []protocol.Piece{protocol.Whole([]byte("\x00\x00\x08\x05")), protocol.Whole([]byte(done))}, want: "SUCCESS"},
		"manifest":          {pieces: []protocol.Piece{protocol.Whole([]byte("\x00\x00\x01\xFF\x02\x00\x04\x04\x04\x00\x02\x08\x05\x00" + done))}, want: "SUCCESS"},
		"manifest in parts": {pieces: []protocol.Piece{protocol.Whole([]byte("\x00\x00\x01\xFF")), protocol.Whole([]byte("\x01\x00\x04\x04")), protocol.Whole([]byte("\x04\x00" + done))}, want: "SUCCESS"},
		"records":           {pieces: []protocol.Piece{protocol.Whole([]byte(record + record + more))}, want: "RECORD, RECORD, SUCCESS more"},
		"failure": {pieces: []protocol.Piece{protocol.Whole([]byte(chunk("\xB1\x7F\xA2\x87message\x83abc\x84code\xD0\x11Neo.ClientError.A") + chunk("\xB0\x7E")))},
			want: "FAILURE Neo.ClientError.A, IGNORED"},
		"a code of odd text":       {pieces: []protocol.Piece{protocol.Whole([]byte(chunk("\xB1\x7F\xA1\x84code\x83a b")))}, want: "FAILURE"},
		"a gap inside a record":    {pieces: []protocol.Piece{protocol.Cut([]byte(chunk("\xB1\x71\x91\xD1\x10\x00"+strings.Repeat("x", 4096))+done), 64, 64)}, want: "RECORD, SUCCESS"},
		"records in a gap":         {pieces: []protocol.Piece{protocol.Cut([]byte(strings.Repeat(record, 20)+done), 100, 60)}, want: "RECORD, SUCCESS", lost: -1},
		"records in a gap, all":    {pieces: []protocol.Piece{protocol.Cut([]byte(strings.Repeat(record, 20)+more), 100, 256)}, want: "RECORD, RECORD, RECORD, SUCCESS more", lost: -1},
		"an end without messages":  {pieces: []protocol.Piece{protocol.Cut([]byte(strings.Repeat(record, 20)), 100, 60), protocol.Whole([]byte(done))}, want: "RECORD, SUCCESS", lost: 1},
		"joined inside a record":   {pieces: []protocol.Piece{protocol.Whole([]byte(record[20:] + record + done))}, want: "RECORD, SUCCESS", lost: 1},
		"joined between messages":  {pieces: []protocol.Piece{protocol.Whole([]byte(done))}, want: "SUCCESS"},
		"joined before a size":     {pieces: []protocol.Piece{protocol.Whole([]byte(done[:2])), protocol.Whole([]byte(done[2 : len(done)-2])), protocol.Whole([]byte("\x00\x00"))}, want: "SUCCESS"},
		"joined behind a size":     {pieces: []protocol.Piece{protocol.Whole([]byte(done[2 : len(done)-2])), protocol.Whole([]byte("\x00\x00")), protocol.Whole([]byte(done[:2])), protocol.Whole([]byte(done[2:]))}, want: "SUCCESS", lost: 1},
		"not bolt":                 {pieces: []protocol.Piece{protocol.Whole([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), protocol.Whole([]byte("more"))}, lost: 1},
		"nothing captured, resume": {pieces: []protocol.Piece{protocol.Whole([]byte(done)), {N: 90}, protocol.Whole([]byte(done))}, want: "SUCCESS, SUCCESS", lost: 1},
	} {
		s := NewServer()
		var got []Message
		for _, p := range c.pieces {
			got = append(got, s.Feed(p)...)
		}
		lost := s.Lost()
		if s.Excuse(); s.Lost() < lost {
			lost = -lost
		}
		if g := say(got); g != c.want || lost != c.lost {
			t.Errorf("%s: %s, lost %d, want %s, lost %d", name, g, lost, c.want, c.lost)
		}
	}
}

func TestOperation(t *testing.T) {
	for query, want := range map[string]string{
		"MATCH (n) RETURN n": "MATCH", "match(n) return n": "MATCH", "  optional\nMATCH (n)": "OPTIONAL MATCH",
		"// c\n/* d */ CALL db.labels()": "CALL", "EXPLAIN MATCH (n)": "MATCH", "CYPHER 5 runtime=slotted PROFILE UNWIND $x AS y": "UNWIND",
		"CREATE (n)": "CREATE", "CREATE INDEX x": "CREATE INDEX", "create secret": "CREATE", "DETACH DELETE n": "DETACH DELETE",
		"secretword": "OTHER", "'secret'": "OTHER", "": "OTHER", "/*": "OTHER", "//": "OTHER", "MATC": "OTHER", "MATCHMATCHMATCHMATCH": "OTHER", "RETURN 1": "RETURN",
	} {
		if got := operation([]byte(query)); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

// TestCaptured replays the Neo4j driver 6.4 against Neo4j 5.26, Bolt 5.8.
func TestCaptured(t *testing.T) {
	for _, limit := range []int{1 << 16, 512, 128} {
		c, s := NewClient(), NewServer()
		var sent []string
		got := map[string]int{}
		for _, r := range wiretest.Read(t, "bolt.cap") {
			p := protocol.Cut(r.Bytes, limit, 256)
			if r.FromClient {
				if m := say(c.Feed(p)); m != "" {
					sent = append(sent, m)
				}
				continue
			}
			for _, m := range s.Feed(p) {
				got[say([]Message{m})]++
			}
		}
		const want = "HELLO, LOGON | RUN MERGE, PULL | RUN MATCH, PULL | RUN UNWIND, PULL | PULL | PULL | RUN UNWIND, PULL | DISCARD | RUN MATCH, PULL | RESET | " +
			"BEGIN | RUN CALL, PULL | COMMIT | BEGIN | RUN CREATE, PULL | ROLLBACK | BEGIN, RUN RETURN, PULL | COMMIT | GOODBYE"
		if g := strings.Join(sent, " | "); g != want && limit >= 512 {
			t.Errorf("captured %d bytes: sent\n%s, want\n%s", limit, g, want)
		}
		if c.Lost() != 0 {
			t.Errorf("captured %d bytes: the client's direction was lost %d times", limit, c.Lost())
		}
		if got["SUCCESS more"] != 3 || got["FAILURE Neo.ClientError.Statement.SyntaxError"] != 1 || got["IGNORED"] != 1 {
			t.Errorf("captured %d bytes: got %v", limit, got)
		}
		if limit > 1<<15 && (s.Lost() != 0 || got["RECORD"] != 1+50+20+1+1) {
			t.Errorf("captured whole: lost %d, got %v", s.Lost(), got)
		}
		if limit == 128 && s.Lost() == 0 {
			t.Errorf("captured %d bytes: records in gaps must be counted as lost", limit)
		}
	}
}

func FuzzFeed(f *testing.F) {
	for _, r := range wiretest.Read(f, "bolt.cap") {
		f.Add(r.Bytes, 10, 64, 32)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut, head, tail int) {
		cut, head, tail = min(max(cut, 0), len(b)), max(head, 0), max(tail, 0)
		c, s := NewClient(), NewServer()
		for _, x := range [][]byte{b[:cut], b[cut:], b} {
			for _, m := range append(c.Feed(protocol.Cut(x, head, tail)), s.Feed(protocol.Cut(x, head, tail))...) {
				if m.Kind == "" {
					t.Fatal("a message without a kind")
				}
			}
		}
	})
}

func BenchmarkRun(b *testing.B) {
	c, in := NewClient(), protocol.Whole([]byte(run("MATCH (p:Person {name: $name})-[:KNOWS]->(q) RETURN q")+pull))
	b.ReportAllocs()
	for b.Loop() {
		if len(c.Feed(in)) != 2 {
			b.Fatal("no messages")
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	s, in := NewServer(), protocol.Cut([]byte(strings.Repeat(record, 20)+done), 512, 256)
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Feed(in)) == 0 {
			b.Fatal("no messages")
		}
	}
}
