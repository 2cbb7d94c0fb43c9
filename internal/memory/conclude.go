package memory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ragscope/ragscope/internal/recording"
)

// Conclude adds to readings what follows from them: the growth of all processes together and of
// each, and when a limit would be reached. timeline is that of the requests.
//
// Where processes began or ended, their sum jumps: it is judged from the last jump on.
func Conclude(m *recording.Memory, timeline []recording.Tick) {
	for i := range m.Processes {
		p := &m.Processes[i]
		p.MemoryGrowth = Judge(p.Timeline, timeline)
	}
	ticks := m.Timeline
	changed := lastChange(m)
	if changed > 0 {
		i, _ := slices.BinarySearchFunc(ticks, changed, func(t recording.MemoryTick, at float64) int {
			if t.T <= at {
				return -1
			}
			return 1
		})
		ticks = ticks[i:]
	}
	m.MemoryGrowth = Judge(ticks, timeline)
	if changed > 0 {
		m.Reason += fmt.Sprintf("; processes of the target began or ended until %s after the begin, so all of them together are judged from then on, and each by itself", clock(changed))
	}
	if m.Verdict == LeakSuspected || m.Verdict == Growing {
		m.Reason += keeperOf(m.Containers) + taker(m.Hotspots) + reached(m, m.GrowthBytesPerSecond.Estimate)
	}
}

// lastChange is when a process last began or ended within the readings, 0 where none did.
func lastChange(m *recording.Memory) (last float64) {
	if len(m.Timeline) < 2 {
		return 0
	}
	begin, end := m.Timeline[0].T, m.Timeline[len(m.Timeline)-1].T
	for _, p := range m.Processes {
		if p.From > begin {
			last = max(last, p.From)
		}
		if p.Ended && p.To < end {
			last = max(last, p.To)
		}
	}
	return last
}

// keeperOf names the container that grew most.
func keeperOf(list []recording.Container) string {
	if len(list) == 0 {
		return ""
	}
	c := list[0]
	name := c.Name
	if name == "" {
		name = "without a known name"
	}
	text := fmt.Sprintf("; of Python's containers the %s %s grew most, from %s to %s entries", c.Type, name, recording.Number(c.Before), recording.Number(c.After))
	if len(c.Users) > 0 {
		text += ", used in " + strings.Join(c.Users, ", ")
	}
	return text
}

// taker names the function, with the endpoint, that touched most new memory of those that can be
// named. That is who made the process grow; what it took may since be another's who keeps it.
func taker(spots []recording.Hotspot) string {
	type place struct{ function, endpoint string }
	sums := map[place]int64{}
	var most place
	for _, h := range spots {
		if h.Function == "" {
			continue
		}
		p := place{h.Function, h.Endpoint}
		if sums[p] += h.Bytes; sums[p] > sums[most] {
			most = p
		}
	}
	if sums[most] == 0 {
		return ""
	}
	return fmt.Sprintf("; most new memory, %s, was first touched by %s in %s, which need not be what keeps it", recording.Bytes(float64(sums[most])), most.function, most.endpoint)
}

// reached says when the nearest limit would be reached.
func reached(m *recording.Memory, perSecond float64) string {
	now := m.Timeline[len(m.Timeline)-1]
	nearest, seconds := "", 0.
	for _, l := range m.Limits {
		left := float64(l.Bytes) - float64(now.RSS)
		if left <= 0 {
			return fmt.Sprintf("; it is above the limit of %s (%s) already", recording.Bytes(float64(l.Bytes)), l.Basis)
		}
		if s := left / perSecond; nearest == "" || s < seconds {
			nearest, seconds = fmt.Sprintf("the limit of %s (%s)", recording.Bytes(float64(l.Bytes)), l.Basis), s
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf("; at this rate %s is reached in %s", nearest, duration(seconds))
}

func duration(seconds float64) string {
	switch {
	case seconds < 7200:
		return clock(seconds)
	case seconds < 2*86400:
		return fmt.Sprintf("%.0f hours", seconds/3600)
	case seconds < 2*365*86400:
		return fmt.Sprintf("%.0f days", seconds/86400)
	}
	return "years"
}
