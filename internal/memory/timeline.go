package memory

import "github.com/ragscope/ragscope/internal/recording"

// maxReadings bounds the timeline of a process: 12 minutes at one a second. Longer ones hold every
// second reading, every fourth, and so on, so that the whole life of a process is in it; a reading
// that is kept has the largest crowd of those that were left out before it.
const maxReadings = 720

type timeline struct {
	ticks   []recording.MemoryTick
	every   int   // of the readings one in so many is kept
	pending int   // readings since the last that was kept
	active  int64 // the largest crowd of those
}

func (l *timeline) add(t recording.MemoryTick) {
	l.every = max(l.every, 1)
	l.active = max(l.active, t.Active)
	if l.pending++; l.pending < l.every && len(l.ticks) > 0 {
		return
	}
	if len(l.ticks) == maxReadings {
		l.halve()
	}
	t.Active, l.pending, l.active = l.active, 0, 0
	l.ticks = append(l.ticks, t)
}

func (l *timeline) halve() {
	kept := l.ticks[:0]
	crowd := int64(0)
	for i, t := range l.ticks {
		crowd = max(crowd, t.Active)
		if i%2 == 0 {
			t.Active = crowd
			kept = append(kept, t)
			crowd = 0
		}
	}
	l.ticks, l.active = kept, max(l.active, crowd)
	l.every *= 2
}
