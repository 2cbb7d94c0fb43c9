package request

// crowd is how many requests a process has under way.
type crowd struct {
	now  int64
	most int64 // at a time, since somebody asked
}

// begins counts a request that is under way from now on.
func (t *Tracker) begins(l *live) {
	t.counts[l.Endpoint]++
	c := t.crowds[l.PID]
	if c == nil {
		c = &crowd{}
		t.crowds[l.PID] = c
	}
	c.now++
	c.most = max(c.most, c.now)
}

func (t *Tracker) ends(l *live) {
	t.counts[l.Endpoint]--
	if c := t.crowds[l.PID]; c != nil {
		c.now--
	}
}

// Active returns how many requests are under way, by endpoint.
func (t *Tracker) Active() map[string]int64 { return t.counts }

// Crowds returns how many requests each process had under way at most at a time since it was asked last, by pid.
func (t *Tracker) Crowds() map[uint32]int64 {
	out := make(map[uint32]int64, len(t.crowds))
	for pid, c := range t.crowds {
		out[pid] = c.most
		c.most = c.now
	}
	return out
}
