package stack

import (
	"slices"
	"time"
)

// OutsideRequests is the endpoint of samples of which no more is known than that: the labeler has words of its own
// for what it knows.
const OutsideRequests = "(outside requests)"

// Collecting is the endpoint of samples outside of requests whose frames show a garbage collector. A request that
// sets CPython's off is charged for it.
const Collecting = "(gc)"

const (
	// DefaultHold is long enough for what a thread ran to be known: the events of that instant
	// must have been read and put in order, which takes some hundred milliseconds.
	DefaultHold = time.Second
	// maxHeld is one second of 80 busy CPUs, about 20 MB.
	maxHeld = 8192
)

// Labeler knows which endpoint a sample's thread served when it was taken, or says in a word in brackets what
// else it did; "" if that is not known.
type Labeler interface {
	EndpointOf(s *Sample) string
}

// Joiner gives samples their endpoints. It holds each sample until the labeler can know, by
// the clock of the samples and of Advance; it has no clock of its own. Not for concurrent use.
type Joiner struct {
	labeler Labeler
	emit    func(endpoint string, s Sample)
	hold    int64
	now     int64
	held    []Sample // as they came: nearly ascending by time
	head    int      // of held
	early   uint64
}

// NewJoiner hands each sample to emit with its endpoint, hold after it was taken.
func NewJoiner(labeler Labeler, hold time.Duration, emit func(endpoint string, s Sample)) *Joiner {
	return &Joiner{labeler: labeler, emit: emit, hold: int64(hold)}
}

// Add takes a sample. Its time moves the clock, too.
func (j *Joiner) Add(s Sample) {
	j.held = append(j.held, s)
	if len(j.held)-j.head > maxHeld {
		j.early++
		j.release()
	}
	j.Advance(s.Time)
}

// Advance moves the clock to now, nanoseconds on CLOCK_MONOTONIC; it never goes back.
func (j *Joiner) Advance(now int64) {
	j.now = max(j.now, now)
	for j.head < len(j.held) && j.now-j.held[j.head].Time >= j.hold {
		j.release()
	}
}

// Flush labels all that is held, at the end of a run.
func (j *Joiner) Flush() {
	for j.head < len(j.held) {
		j.release()
	}
}

// Early counts the samples that had to be labelled before their time, because too many were
// held; some of them are OutsideRequests although they are not.
func (j *Joiner) Early() uint64 { return j.early }

func (j *Joiner) release() {
	s := j.held[j.head]
	j.held[j.head] = Sample{} // its frames are no longer needed here
	j.head++
	if j.head > len(j.held)/2 {
		n := copy(j.held, j.held[j.head:])
		clear(j.held[n:])
		j.held, j.head = j.held[:n], 0
	}
	endpoint := j.labeler.EndpointOf(&s)
	switch outside := endpoint == "" || endpoint[0] == '('; {
	case outside && slices.ContainsFunc(s.Frames, collects):
		endpoint = Collecting
	case endpoint == "":
		endpoint = OutsideRequests
	}
	j.emit(endpoint, s)
}

// collects recognises the collector's own functions, by the names that they have from 3.8 to 3.14. A stripped
// interpreter shows none of them.
func collects(f Frame) bool {
	if f.Kind != Native || !interpreterObject(f.File) {
		return false
	}
	switch f.Function {
	case "gc_collect_main", "gc_collect_generations", "gc_collect_with_callback", "_PyGC_Collect", "PyGC_Collect", "_Py_RunGC", "gc_collect_young", "gc_collect_increment", "gc_collect_full":
		return true
	}
	return false
}
