package http2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

// peer encodes like a real HTTP/2 endpoint.
type peer struct {
	buf bytes.Buffer
	enc *hpack.Encoder
}

func newPeer() *peer {
	p := &peer{}
	p.enc = hpack.NewEncoder(&p.buf)
	return p
}

func (p *peer) block(t testing.TB, pairs ...string) []byte {
	p.buf.Reset()
	for i := 0; i < len(pairs); i += 2 {
		secret := pairs[i] == "authorization"
		if err := p.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1], Sensitive: secret}); err != nil {
			t.Fatal(err)
		}
	}
	return bytes.Clone(p.buf.Bytes())
}

func TestDecode(t *testing.T) {
	p, d := newPeer(), NewDecoder(false)
	call := func(path string) []byte {
		return p.block(t, ":method", "POST", ":path", path, ":authority", "db:6334", "content-type", "application/grpc", "api-key", "secret", "authorization", "Bearer x",
			"x-request-id", "r1", "traceparent", "00-1-2-01", "te", "trailers")
	}
	want := Fields{Method: "POST", Path: "/qdrant.Points/Query", Authority: "db:6334", GRPCStatus: -1, ContentType: "application/grpc", RequestID: "r1", TraceParent: "00-1-2-01"}
	for range 3 {
		if got := d.Decode(call("/qdrant.Points/Query"), false); got != want {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	}
	for i := range d.n {
		if e := d.table[i]; strings.Contains(e.value, "secret") {
			t.Error("an api-key is in the table")
		}
	}
	if got := d.Decode(p.block(t, ":status", "200", "grpc-status", "14"), false); got.Status != 200 || got.GRPCStatus != 14 {
		t.Errorf("trailers: %+v", got)
	}
	if got := d.Decode(p.block(t, ":status", "503"), false); got.Status != 503 || got.GRPCStatus != -1 {
		t.Errorf("status: %+v", got)
	}
}

// TestMidway joins late: what is told must be right, what cannot be told is counted, and what is
// learned from elsewhere stays.
func TestMidway(t *testing.T) {
	p := newPeer()
	call := func(path string) []byte { return p.block(t, ":path", path, ":method", "POST", "api-key", "secret") }
	call("/a/A")
	call("/b/B")
	d := NewDecoder(true)
	f := d.Decode(call("/a/A"), false)
	if f.Path != "" || f.Unknown != 2 || f.Method != "POST" {
		t.Fatalf("old entries: %+v", f)
	}
	ref := f.Ref
	if f = d.Decode(call("/b/B"), false); f.Ref == ref {
		t.Fatalf("two paths, one reference: %+v", f)
	}
	if f = d.Decode(call("/c/C"), false); f.Path != "/c/C" || f.Unknown != 1 {
		t.Fatalf("a new entry: %+v", f)
	}
	if f = d.Decode(call("/c/C"), false); f.Path != "/c/C" {
		t.Fatalf("a new entry again: %+v", f)
	}
	if f = d.Decode(call("/a/A"), false); f.Ref != ref {
		t.Fatalf("an insert moved the reference from %d to %d", ref, f.Ref)
	}
	d.Learn(ref, "/a/A")
	if f = d.Decode(call("/a/A"), false); f.Path != "/a/A" {
		t.Fatalf("learned: %+v", f)
	}
}

func TestTruncatedBlock(t *testing.T) {
	p, d := newPeer(), NewDecoder(false)
	d.Decode(p.block(t, ":path", "/a/A", "x", "1"), false)
	b := p.block(t, ":path", "/a/A", "x-request-id", "7", "y", strings.Repeat("2", 100), "z", "3")
	if f := d.Decode(b[:len(b)-20], true); f.Path != "/a/A" || f.RequestID != "7" || !f.Truncated {
		t.Errorf("the beginning of a cut block: %+v", f)
	}
	if f := d.Decode(p.block(t, ":path", "/a/A"), false); f.Path != "" || f.Unknown != 1 {
		t.Errorf("behind a cut block: %+v", f)
	}
	d.Decode(p.block(t, ":path", "/b/B"), false)
	if f := d.Decode(p.block(t, ":path", "/b/B"), false); f.Path != "/b/B" || f.Unknown != 0 {
		t.Errorf("sent anew: %+v", f)
	}
}

// TestAgainstEncoder compares random blocks, small and changing tables, eviction, with what was
// encoded; every tenth block is cut, and some decoders join late. A value told must never be wrong.
func TestAgainstEncoder(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p, late := newPeer(), NewDecoder(true)
		exact, cut := NewDecoder(false), NewDecoder(false)
		for i := range 200 {
			if rng.IntN(20) == 0 {
				p.enc.SetMaxDynamicTableSizeLimit(8192)
				p.enc.SetMaxDynamicTableSize(uint32(rng.IntN(600)))
			}
			path, id := fmt.Sprintf("/p/%d", rng.IntN(30)), fmt.Sprintf("r%d", rng.IntN(50))
			secret := strings.Repeat(string(rune('0'+rng.IntN(40))), rng.IntN(150))
			b := p.block(t, ":method", "POST", ":path", path, "api-key", secret, "x-request-id", id, fmt.Sprintf("n%d", rng.IntN(20)), secret, ":status", "201")
			if f := exact.Decode(b, false); f.Path != path || f.RequestID != id || f.Unknown != 0 || f.Status != 201 {
				t.Fatalf("seed %d block %d: %+v, want %s %s", seed, i, f, path, id)
			}
			checks := []Fields{}
			if i%10 == 5 {
				checks = append(checks, cut.Decode(b[:rng.IntN(len(b))], true))
			} else {
				checks = append(checks, cut.Decode(b, false))
			}
			if i > 50 {
				checks = append(checks, late.Decode(b, false))
			}
			for _, f := range checks {
				if f.Path != "" && f.Path != path || f.RequestID != "" && f.RequestID != id || f.Path == "" && f.Unknown == 0 && !f.Truncated {
					t.Fatalf("seed %d block %d: %+v, want %s %s or unknown", seed, i, f, path, id)
				}
			}
		}
	}
}

// TestLargeEntries: an entry that is larger than the table empties it, which must not shift what follows.
func TestLargeEntries(t *testing.T) {
	lit := func(name, value string) []byte {
		b := append([]byte{0x40, byte(len(name))}, name...)
		return append(append(b, 0x7F, byte(len(value)-127)&0x7F|0x80, byte((len(value)-127)>>7)), value...)
	}
	for _, midway := range []bool{false, true} {
		d := NewDecoder(midway)
		d.Decode(append([]byte{0x44, 2}, "/a"...), false)
		d.Decode(lit("cookie2", strings.Repeat("x", 5000)), false)
		if f := d.Decode([]byte{0xBE}, false); f.Path != "" || f.Unknown != 1 {
			t.Errorf("midway %t: %+v", midway, f)
		}
	}
}

func TestSymbols(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		text := make([]byte, rng.IntN(60))
		for i := range text {
			text[i] = byte(rng.IntN(256))
		}
		if got := symbols(hpack.AppendHuffmanString(nil, string(text))); got != len(text) {
			t.Fatalf("%q: %d symbols, want %d", text, got, len(text))
		}
	}
}

func TestFrames(t *testing.T) {
	whole := []byte(Preface + "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64" + "\x00\x00\x03\x00\x01\x80\x00\x00\x05abc")
	fs, rest := Frames(whole)
	if len(fs) != 2 || rest != 0 || fs[1].Stream != 5 || string(fs[1].Payload) != "abc" || fs[1].Flags != EndStream {
		t.Errorf("%+v, rest %d", fs, rest)
	}
	if n, ok := fs[0].MaxStreams(); n != 100 || !ok {
		t.Errorf("max streams %d %t", n, ok)
	}
	if fs, rest = Frames(whole[:len(whole)-1]); len(fs) != 2 || rest != 1 {
		t.Errorf("cut payload: %d frames, rest %d", len(fs), rest)
	}
	if fs, rest = Frames(whole[:len(whole)-3]); len(fs) != 2 || rest != 3 {
		t.Errorf("no payload: %d frames, rest %d", len(fs), rest)
	}
	if fs, rest = Frames(whole[:len(whole)-4]); len(fs) != 1 || rest != -1 {
		t.Errorf("cut header: %d frames, rest %d", len(fs), rest)
	}
}

func TestBlock(t *testing.T) {
	for name, c := range map[string]struct {
		f    Frame
		want string
		cut  bool
		ok   bool
	}{
		"plain":        {Frame{Length: 3, Type: Headers, Payload: []byte("abc")}, "abc", false, true},
		"cut":          {Frame{Length: 9, Type: Headers, Payload: []byte("abc")}, "abc", true, true},
		"padded":       {Frame{Length: 6, Type: Headers, Flags: Padded, Payload: []byte("\x02abc\x00\x00")}, "abc", false, true},
		"priority":     {Frame{Length: 8, Type: Headers, Flags: HasPrio, Payload: []byte("ppppwabc")}, "abc", false, true},
		"both":         {Frame{Length: 9, Type: Headers, Flags: HasPrio | Padded, Payload: []byte("\x01ppppwab\x00")}, "ab", false, true},
		"only padding": {Frame{Length: 2, Type: Headers, Flags: Padded, Payload: []byte("\x05\x00")}, "", false, false},
		"data":         {Frame{Length: 3, Type: Data, Payload: []byte("abc")}, "", false, false},
	} {
		b, cut, ok := c.f.Block()
		if string(b) != c.want || cut != c.cut || ok != c.ok {
			t.Errorf("%s: %q cut %t ok %t", name, b, cut, ok)
		}
	}
}

// TestCaptured decodes grpcio 1.85 calling a grpcio server.
func TestCaptured(t *testing.T) {
	var sent, got []byte
	for _, r := range wiretest.Read(t, "grpc.cap") {
		if r.FromClient {
			sent = append(sent, r.Bytes...)
		} else {
			got = append(got, r.Bytes...)
		}
	}
	blocks := func(b []byte, d *Decoder, visit func(Fields)) {
		fs, rest := Frames(b)
		if rest != 0 {
			t.Fatalf("rest %d", rest)
		}
		for _, f := range fs {
			if block, cut, ok := f.Block(); ok {
				visit(d.Decode(block, cut))
			}
		}
	}
	var paths []string
	blocks(sent, NewDecoder(false), func(f Fields) {
		if f.Unknown != 0 || f.Method != "POST" || f.ContentType != "application/grpc" {
			t.Errorf("%+v", f)
		}
		paths = append(paths, f.Path[strings.LastIndexByte(f.Path, '/')+1:]+" "+f.RequestID)
	})
	const want = "Query r0,Upsert r0,HealthCheck r0,Query r1,Upsert r1,HealthCheck r1,Query r2,Upsert r2,HealthCheck r2,Query r3,Upsert r3,HealthCheck r3,Missing "
	if p := strings.Join(paths, ","); p != want {
		t.Errorf("%s", p)
	}
	statuses := map[int]int{}
	blocks(got, NewDecoder(false), func(f Fields) { statuses[f.GRPCStatus]++ })
	if statuses[0] != 12 || statuses[12] != 1 {
		t.Errorf("grpc statuses %v", statuses)
	}
}

func FuzzDecode(f *testing.F) {
	p := newPeer()
	f.Add(p.block(f, ":path", "/a", "api-key", "x"), p.block(f, ":path", "/a"), false)
	f.Fuzz(func(t *testing.T, a, b []byte, truncated bool) {
		d := NewDecoder(truncated)
		d.Decode(a, truncated)
		g := d.Decode(b, false)
		d.Decode(a, false)
		if len(g.Path) > MaxValue || d.size > maxTable || d.n > maxTable/entryCost {
			t.Fatalf("out of bounds: %+v, table %d entries, %d bytes", g, d.n, d.size)
		}
		fs, _ := Frames(a)
		for _, x := range fs {
			x.Block()
			x.MaxStreams()
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	p, d := newPeer(), NewDecoder(false)
	headers := []string{":scheme", "http", ":method", "POST", ":path", "/qdrant.Points/Query", ":authority", "127.0.0.1:6334", "te", "trailers", "content-type", "application/grpc", "user-agent", "grpc-python"}
	d.Decode(p.block(b, headers...), false)
	block := p.block(b, headers...)
	b.ReportAllocs()
	for b.Loop() {
		if d.Decode(block, false).Path == "" {
			b.Fatal("no path")
		}
	}
}

// BenchmarkDecodeLiteral has a path that is sent as text each time, Huffman-coded.
func BenchmarkDecodeLiteral(b *testing.B) {
	d := NewDecoder(false)
	text := hpack.AppendHuffmanString(nil, "/qdrant.Points/Query")
	block := append([]byte{0x04, 0x80 | byte(len(text))}, text...)
	b.ReportAllocs()
	for b.Loop() {
		if d.Decode(block, false).Path == "" {
			b.Fatal("no path")
		}
	}
}
