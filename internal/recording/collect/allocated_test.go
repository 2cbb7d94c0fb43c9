package collect

import (
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

func TestAllocated(t *testing.T) {
	total, slice := New(100, nil), New(200, nil)
	for _, endpoint := range []string{"GET /a", "GET /b"} {
		slice.Request(&request.Request{Endpoint: endpoint, Start: 250, Last: 300})
	}
	total.Allocated(50, "GET /a", 1) // before it began
	total.Allocated(150, "GET /a", 10)
	slice.Allocated(250, "GET /a", 100)
	slice.Allocated(250, "(outside requests)", 1000)
	total.Absorb(slice)

	var r recording.Recording
	total.Fill(&r, 400)
	total.FillAllocated(&r)
	want := map[string]int64{"GET /a": 110, "GET /b": 0}
	if len(r.Endpoints) != len(want) {
		t.Fatalf("endpoints %v", r.Endpoints)
	}
	for _, e := range r.Endpoints {
		if e.AllocatedBytes == nil || *e.AllocatedBytes != want[e.Endpoint] {
			t.Errorf("%s allocated %v, want %d", e.Endpoint, e.AllocatedBytes, want[e.Endpoint])
		}
	}
}
