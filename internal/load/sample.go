package load

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Sample is one finished request. Instants are offsets from the start of the run; 0 in First…
// means that it did not happen.
type Sample struct {
	Task       int // index into Scenario.Tasks
	Intended   time.Duration
	Sent       time.Duration
	Connect    time.Duration // of opening a connection, not an instant; 0: one was open
	FirstByte  time.Duration
	FirstEvent time.Duration
	FirstToken time.Duration
	End        time.Duration
	Gaps       []time.Duration // between tokens
	Tokens     int
	Status     int
	Bytes      int64
	Redirects  int
	Resent     int // times that it was sent again
	Failure    Failure
	Identity   *Identity // nil unless Config.Identify
}

// Response is the time from the intended send to the end.
func (s *Sample) Response() time.Duration { return s.End - s.Intended }

// Service is the time from the actual send to the end.
func (s *Sample) Service() time.Duration { return s.End - s.Sent }

// Lag is how late the request was sent.
func (s *Sample) Lag() time.Duration { return s.Sent - s.Intended }

// mailbox holds the samples of one worker until they are gathered. Its lock is the worker's
// own, touched by one other goroutine ten times a second for the length of a swap, so that
// workers never wait for one another. (A histogram set of their own for each of 200 users
// would be a gigabyte; the samples in between are some kilobytes.)
type mailbox struct {
	mu      sync.Mutex
	samples []Sample
	aborted int64
	closed  bool // nothing comes any more
}

func (m *mailbox) put(s *Sample) {
	m.mu.Lock()
	m.samples = append(m.samples, *s)
	m.mu.Unlock()
}

func (m *mailbox) abort() {
	m.mu.Lock()
	m.aborted++
	m.mu.Unlock()
}

func (m *mailbox) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
}

// take empties the mailbox into dst.
func (m *mailbox) take(dst []Sample) (out []Sample, aborted int64, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dst = append(dst, m.samples...)
	clear(m.samples) // let go of gaps and identities
	m.samples = m.samples[:0]
	n := m.aborted
	m.aborted = 0
	return dst, n, m.closed
}

// sorter puts samples into the order of their end. It sorts places, which are small, and then
// moves each sample once, between two slices that take turns.
type sorter struct {
	places []place
	spare  []Sample
}

type place struct {
	end time.Duration
	at  int
}

func (s *sorter) sort(samples []Sample) []Sample {
	s.places = s.places[:0]
	for i := range samples {
		s.places = append(s.places, place{samples[i].End, i})
	}
	slices.SortFunc(s.places, func(a, b place) int { return cmp.Compare(a.end, b.end) })
	sorted := s.spare[:0]
	for _, p := range s.places {
		sorted = append(sorted, samples[p.at])
	}
	clear(samples) // let go of gaps and identities
	s.spare = samples
	return sorted
}
