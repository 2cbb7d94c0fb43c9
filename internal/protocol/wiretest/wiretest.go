// Package wiretest serves the parsers' tests: connections captured from real programs.
//
// In: files under testdata, made by a recording TCP proxy: for each read of it one record, '>'
// (client to server) or '<', the connection's number (16 bits), the length (32 bits, both big
// endian), the bytes. Out: those records. The bytes come from redis-py 8.1 against redis-server
// 7.0, the Neo4j driver 6.4 against Neo4j 5.26, httpx 0.28 against uvicorn 0.54 with httptools and
// with h11, grpcio 1.85 against itself, httpx and openai 3.57 against Ollama 0.6.5. No other room imports this.
package wiretest

import (
	"embed"
	"encoding/binary"
	"testing"
)

//go:embed testdata
var files embed.FS

// Record is one transfer.
type Record struct {
	FromClient bool
	Connection int
	Bytes      []byte
}

// Read returns the transfers of testdata/name in order.
func Read(t testing.TB, name string) []Record {
	t.Helper()
	b, err := files.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatalf("read capture: %v", err)
	}
	var rs []Record
	for len(b) >= 7 {
		n := int(binary.BigEndian.Uint32(b[3:7]))
		if len(b) < 7+n {
			t.Fatalf("capture %s ends inside a record", name)
		}
		rs = append(rs, Record{b[0] == '>', int(binary.BigEndian.Uint16(b[1:3])), b[7 : 7+n]})
		b = b[7+n:]
	}
	return rs
}
