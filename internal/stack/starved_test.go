package stack

import (
	"context"
	"testing"
	"time"
)

// A ring buffer that is too small loses nothing in silence: what did not come out is counted, and that it was for want
// of room.
func TestStarvedRingBuffer(t *testing.T) {
	live(t)
	pid := startTarget(t)
	s := NewSampler(Options{Hz: maxHz, KeepPlumbing: true})
	s.ringStacks = 1
	s.SetPIDs([]int{pid})
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	var ticks uint64
	var lost map[string]uint64
	for end := time.Now().Add(20 * time.Second); lost[LostRingFull] == 0 && time.Now().Before(end); lost = s.Lost() {
		for range 100 {
			<-s.Samples()
		}
		ticks, _ = s.entry.counts() // the unwinder tells its losses every five seconds
	}
	t.Logf("%d ticks, %d stacks, lost %v", ticks, s.Received(), lost)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if lost[LostRingFull] == 0 {
		t.Error("none is counted as without room")
	}
	if onItsWay := uint64(maxHz); ticks > s.Received()+lost[LostNotUnwound]+onItsWay {
		t.Errorf("of %d ticks %d stacks came out and %d are counted as lost", ticks, s.Received(), lost[LostNotUnwound])
	}
}

// It has room for what comes between two times that it is read, and for as much again.
func TestRingBufferFollowsTheRate(t *testing.T) {
	for _, hz := range []int{1, DefaultHz, maxHz} {
		if room, needed := NewSampler(Options{Hz: hz}).ringStacks, 2*pollEvery.Seconds()*float64(hz); float64(room) < needed {
			t.Errorf("at %d Hz there is room for %d stacks, in two polls come %g", hz, room, needed)
		}
	}
}
