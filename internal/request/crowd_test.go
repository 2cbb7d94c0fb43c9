package request

import (
	"maps"
	"testing"
)

// Three at a time, then one; a process that has ended has none.
func TestCrowds(t *testing.T) {
	p := newTape().at(0)
	for sock := range uint64(3) {
		p.midway(sock+1).at(float64(sock+1)).in(sock+1, float64(sock+1), get("/a"))
	}
	p.reply(1, ok).reply(2, ok)
	_, tr := play(t, p)
	for i, want := range []int64{3, 1} {
		if got := tr.Crowds(); !maps.Equal(got, map[uint32]int64{p.pid: want}) {
			t.Errorf("crowds %v when asked for the %d. time, want %d", got, i+1, want)
		}
	}
	tr.Gone(p.pid, p.now)
	if got := tr.Crowds(); len(got) != 0 {
		t.Errorf("crowds %v of a process that is gone", got)
	}
}
