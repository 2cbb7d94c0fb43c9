package memory

import (
	"fmt"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
)

// settle is for how many seconds after a new maximum of requests under way memory may still grow by what
// that crowd needs: its requests go on to take memory until they are answered, and the allocator keeps it.
const settle = 10.

// crowding is what was left out because more requests were under way than before.
type crowding struct {
	seconds, requests float64
	bytes             float64 // grown meanwhile
	most              float64 // requests at a time
}

// beside says what was left out beside a growth that was there all the time, "" where that does not matter.
func (c crowding) beside(g *recording.MemoryGrowth) string {
	more := c.bytes
	switch {
	case g.GrowthPerThousand != nil:
		more -= max(0, g.GrowthPerThousand.Estimate) / 1000 * c.requests
	case g.GrowthBytesPerSecond != nil:
		more -= max(0, g.GrowthBytesPerSecond.Estimate) * c.seconds
	}
	if more < minGrowth {
		return ""
	}
	return fmt.Sprintf("; left out: %s in which more requests were under way than before, up to %s at a time, and it grew by %s more than else, as an allocator does that keeps what a crowd needed",
		clock(c.seconds), recording.Number(int64(c.most)), recording.Bytes(more))
}

// calm takes out of the stretch the time in which more requests were under way than before, and joins what is
// before such a time to what is after it: growth that comes with a crowd and ends with the crowd's growth is no leak.
// What is joined stands as high, and ends when, the last reading does.
//
// A new maximum counts from the reading before the one that tells of it on, because the kernel's events come a little
// after the memory that they are the cause of, until it has settled.
func (s stretch) calm() (stretch, crowding) {
	crowded, most := s.crowding()
	c := crowding{most: most}
	out := stretch{before: most, byRequests: s.byRequests}
	active := 0.
	for i := s.len() - 1; i >= 0; i-- {
		if i == s.len()-1 || !crowded[i+1] {
			out.seconds = append(out.seconds, s.seconds[i]+c.seconds)
			out.requests = append(out.requests, s.requests[i]+c.requests)
			out.bytes = append(out.bytes, s.bytes[i]+c.bytes)
			out.active = append(out.active, s.active[i]+active)
		}
		if i > 0 && crowded[i] {
			c.seconds += s.seconds[i] - s.seconds[i-1]
			c.bytes += s.bytes[i] - s.bytes[i-1]
			c.requests += s.requests[i] - s.requests[i-1]
			active += s.active[i] - s.active[i-1]
		}
	}
	for _, x := range [][]float64{out.seconds, out.requests, out.bytes, out.active} {
		slices.Reverse(x)
	}
	out.crowded = s.len() - out.len()
	return out, c
}

// crowding says of each reading whether the time since the one before is one in which a crowd grew, and how large it was at most.
func (s stretch) crowding() (crowded []bool, most float64) {
	crowded = make([]bool, s.len())
	most = s.before
	until, answered := s.seconds[0], 0.
	for i, n := range s.active {
		if n > most {
			most, until, answered = n, s.seconds[i]+settle, s.requests[i]+n
			crowded[max(0, i-1)] = true
		}
		crowded[i] = crowded[i] || s.seconds[i] <= until || s.byRequests && s.requests[i] < answered
	}
	return crowded, most
}

// with adds to a constant what growth must be told from: the requests under way, where memory goes up and down with
// them. Less memory for more of them would be no cause but chance, and is not taken for one.
func (s stretch) with(columns ...[]float64) [][]float64 {
	all := append([][]float64{ones(s.len()), s.active}, columns...)
	if beta, _ := leastSquares(s.bytes, all); beta == nil || beta[1] <= 0 {
		return append([][]float64{all[0]}, columns...)
	}
	return all
}

// apart is memory without what goes up and down with the requests under way, beside a trend over x.
func (s stretch) apart(x []float64) []float64 {
	columns := s.with(x)
	if len(columns) == 2 {
		return s.bytes
	}
	beta, _ := leastSquares(s.bytes, columns)
	return residuals(s.bytes, columns[1:2], beta[1:2])
}
