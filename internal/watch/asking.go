package watch

import (
	"github.com/ragscope/ragscope/internal/memory"
	"github.com/ragscope/ragscope/internal/request"
)

// maxAsking bounds the requests whose allocations are kept apart, 100 bytes each.
const maxAsking = 1 << 17

// asking is what single requests asked allocators for. Guarded by Watcher.mu.
type asking struct {
	bytes   map[requestKey]int64 // what was told of it comes before or after its end
	ended   []memory.Asked
	dropped int64
}

// requestKey is a request: no process reads two at the same nanosecond, but those that came in one piece, of which the
// second waits for the first.
type requestKey struct {
	pid  uint32
	read int64
}

func (a *asking) took(pid uint32, read, bytes int64) {
	k := requestKey{pid, read}
	if _, known := a.bytes[k]; !known && len(a.bytes) == maxAsking {
		return // counted when it ends
	}
	if a.bytes == nil {
		a.bytes = map[requestKey]int64{}
	}
	a.bytes[k] += bytes
}

func (a *asking) end(r *request.Request) {
	if len(a.ended) == maxAsking {
		a.dropped++
		return
	}
	a.ended = append(a.ended, memory.Asked{PID: r.PID, Start: r.Read, End: r.Last, Endpoint: r.Endpoint})
}

// requests are those that have ended, with what they asked for.
func (a *asking) requests() []memory.Asked {
	for i := range a.ended {
		e := &a.ended[i]
		e.Bytes = a.bytes[requestKey{e.PID, e.Start}]
	}
	return a.ended
}
