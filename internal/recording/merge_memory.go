package recording

import "slices"

// add puts the readings of a later part on m's axis. What is concluded from them is not the sum
// of the parts, see mergeGrowth.
func (m *Memory) add(p *Memory, shift float64) {
	m.Timeline = append(m.Timeline, shifted(p.Timeline, shift)...)
	for _, proc := range p.Processes {
		o := slot(&m.Processes, MemoryProcess{PID: proc.PID, Name: proc.Name, From: proc.From + shift}, func(o MemoryProcess) bool { return o.PID == proc.PID && o.Name == proc.Name })
		o.Timeline = append(o.Timeline, shifted(proc.Timeline, shift)...)
		o.To, o.Ended = proc.To+shift, proc.Ended
		o.Composition = proc.Composition.shifted(shift)
	}
	if p.Composition != nil {
		m.Composition = p.Composition.shifted(shift)
	}
	for _, l := range p.Limits {
		o := slot(&m.Limits, l, func(o MemoryLimit) bool { return o.What == l.What && o.Basis == l.Basis && o.Bytes == l.Bytes })
		o.Peak, o.Share = max(o.Peak, l.Peak), max(o.Share, l.Share)
	}
	m.Hotspots = append(m.Hotspots, p.Hotspots...)
	m.Containers = append(m.Containers, p.Containers...)
}

func shifted(ticks []MemoryTick, by float64) []MemoryTick {
	ticks = slices.Clone(ticks)
	for i := range ticks {
		ticks[i].T += by
	}
	return ticks
}

func (p *MemoryParts) shifted(by float64) *MemoryParts {
	if p == nil {
		return nil
	}
	c := *p
	c.T += by
	return &c
}

// mergeGrowth keeps a single part's growth; of several, a slope across the gaps between them
// would mix load levels.
func (r *Recording) mergeGrowth(parts []*Recording) {
	var with []*Recording
	for _, p := range parts {
		if len(p.Memory.Timeline) > 0 {
			with = append(with, p)
		}
	}
	switch len(with) {
	case 0:
	case 1:
		r.Memory.MemoryGrowth = with[0].Memory.MemoryGrowth
		if t := r.Memory.Trend; t != nil {
			by := with[0].Window.Start.Sub(r.Window.Start).Seconds()
			c := *t
			c.From, c.To = c.From+by, c.To+by
			r.Memory.Trend = &c
		}
	default:
		r.addNotMeasured([]NotMeasured{{
			What: "memory growth over the whole run",
			Why:  "the recordings of several scenarios were joined and nothing was recorded between them; each scenario has its own growth",
		}})
	}
}
