package watch

import (
	"testing"

	"github.com/ragscope/ragscope/internal/request"
)

// What a request asked for is told in pieces, before and after its end; what finds no room is counted.
func TestAsking(t *testing.T) {
	var a asking
	a.took(7, 100, 10)
	a.end(&request.Request{PID: 7, Read: 100, Last: 200, Endpoint: "GET /a"})
	a.took(7, 100, 5)
	a.took(8, 100, 1000) // of another process
	a.end(&request.Request{PID: 7, Read: 300, Last: 400, Endpoint: "GET /b"})
	list := a.requests()
	if len(list) != 2 || list[0].Bytes != 15 || list[1].Bytes != 0 || list[0].Endpoint != "GET /a" {
		t.Errorf("%+v", list)
	}
	for i := range int64(maxAsking) {
		a.took(9, i, 1)
		a.end(&request.Request{PID: 9, Read: i, Last: i + 1})
	}
	if len(a.ended) != maxAsking || len(a.bytes) != maxAsking || a.dropped != 2 {
		t.Errorf("%d requests and %d sums are kept, %d dropped", len(a.ended), len(a.bytes), a.dropped)
	}
}
