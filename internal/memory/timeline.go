package memory

import "github.com/ragscope/ragscope/internal/recording"

// maxReadings bounds the timeline of a process: 12 minutes at one a second. Longer ones hold every
// second reading, every fourth, and so on, so that the whole life of a process is in it.
const maxReadings = 720

type timeline struct {
	ticks   []recording.MemoryTick
	every   int // of the readings one in so many is kept
	pending int // readings since the last that was kept
}

func (l *timeline) add(t recording.MemoryTick) {
	l.every = max(l.every, 1)
	if l.pending++; l.pending < l.every && len(l.ticks) > 0 {
		return
	}
	l.pending = 0
	if len(l.ticks) == maxReadings {
		kept := l.ticks[:0]
		for i, t := range l.ticks {
			if i%2 == 0 {
				kept = append(kept, t)
			}
		}
		l.ticks = kept
		l.every *= 2
	}
	l.ticks = append(l.ticks, t)
}
