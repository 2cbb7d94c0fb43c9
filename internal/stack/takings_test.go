package stack

import (
	"reflect"
	"testing"

	"github.com/ragscope/ragscope/bpf"
)

func TestTakings(t *testing.T) {
	taken := func(tid uint32, time, bytes uint64) bpf.FaultTaken {
		return bpf.FaultTaken{Tid: tid, Time: time, Bytes: bytes}
	}
	x := takings{begun: map[uint32][]bpf.FaultTaken{
		1: {taken(1, 100, 1000), taken(1, 200, 2000), taken(1, 300, 3000), taken(1, 400, 4000)},
		2: {taken(2, 150, 5000)},
	}}
	var lost []uint64
	lose := func(x bpf.FaultTaken) { lost = append(lost, x.Bytes) }

	for _, c := range []struct {
		tid   uint32
		at    int64
		bytes int64
		lost  []uint64
	}{
		{1, 99, 0, nil}, // a stack of which nothing was taken
		{1, 100, 1000, nil},
		{1, 305, 3000, []uint64{2000}}, // the stack in between never came
		{3, 305, 0, nil},
	} {
		lost = nil
		if got := x.of(c.tid, c.at, lose); got != c.bytes || !reflect.DeepEqual(lost, c.lost) {
			t.Errorf("thread %d at %d: %d bytes, lost %v; want %d, %v", c.tid, c.at, got, lost, c.bytes, c.lost)
		}
	}
	lost = nil
	x.old(400, lose)
	if want := []uint64{5000}; !reflect.DeepEqual(lost, want) {
		t.Errorf("old: lost %v, want %v", lost, want)
	}
	if x.of(1, 400, lose) != 4000 || len(x.begun) != 0 {
		t.Errorf("left over: %v", x.begun)
	}
}
