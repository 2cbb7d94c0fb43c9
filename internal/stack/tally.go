package stack

import (
	"sync"
	"time"
)

// Tally sums samples twice, since its start and since the last Take: one profile for files and
// pages, one for servers that want intervals. Safe for concurrent use.
type Tally struct {
	mu    sync.Mutex
	total *Profile
	since *Profile
}

// NewTally starts both sums at start.
func NewTally(kind Kind, period time.Duration, start time.Time) *Tally {
	return &Tally{total: NewProfile(kind, period, start), since: NewProfile(kind, period, start)}
}

// Begin says that samples are taken only from now on.
func (t *Tally) Begin(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.Start, t.since.Start = now, now
}

// Add counts a sample in both.
func (t *Tally) Add(endpoint string, s Sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.Add(endpoint, s)
	t.since.Add(endpoint, s)
}

// Know adds to the sum of an endpoint in both. Once it was called, the stacks only say how sums are divided.
func (t *Tally) Know(endpoint string, value int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total.know(endpoint, value)
	t.since.know(endpoint, value)
}

// Total is a copy of all since the start.
func (t *Tally) Total(now time.Time) *Profile {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.total.clone()
	p.End = now
	p.fit()
	return p
}

// Take returns what came since the last Take, and begins anew.
func (t *Tally) Take(now time.Time) *Profile {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.since
	p.End = now
	p.fit()
	t.since = NewProfile(p.Kind, p.Period, now)
	return p
}
