package stack

import (
	"cmp"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"time"
)

// MaxStacks bounds the distinct stacks of a profile (with their endpoints): about 4 MB at the
// 40 frames of a FastAPI stack. Stacks beyond it are counted under OtherStacks.
const MaxStacks = 16_000

// OtherStacks is the only frame of samples whose stack found no more room.
const OtherStacks = "[other stacks]"

// Profile counts stacks by endpoint. Not for concurrent use.
type Profile struct {
	Kind       Kind
	Period     time.Duration // of the CPU clock: what one sample stands for, at least; 0 for other kinds
	Longest    time.Duration // … at most, as its rate follows the overhead budget
	Start, End time.Time     // what it covers

	folded uint64
	frames []Frame          // numbered by index
	number map[Frame]uint32 // the way back
	counts map[stackKey]*count
	sums   map[string]int64 // by endpoint, where they are known better than by stacks; nil: nowhere
}

// stackKey is an endpoint and the numbers of the frames, four bytes each.
type stackKey struct{ endpoint, frames string }

type count struct{ samples, value int64 }

// Stack is one line of a profile.
type Stack struct {
	Endpoint string
	Frames   []Frame // the running function first
	Samples  int64
	Value    int64 // in the unit of the profile's Kind
}

// NewProfile returns an empty profile.
func NewProfile(kind Kind, period time.Duration, start time.Time) *Profile {
	p := &Profile{Kind: kind, Period: period, Start: start, End: start, number: map[Frame]uint32{}, counts: map[stackKey]*count{}}
	p.encode([]Frame{{Function: OtherStacks}}, true) // so that there is always room for it
	return p
}

// Add counts one sample.
func (p *Profile) Add(endpoint string, s Sample) {
	room := len(p.counts) < MaxStacks && len(p.frames) < maxFrames
	ids, known := p.encode(s.Frames, room)
	key := stackKey{endpoint, ids}
	c := p.counts[key]
	if !known || c == nil && !room {
		p.folded++
		key.frames, _ = p.encode([]Frame{{Function: OtherStacks}}, false)
		c = p.counts[key]
	}
	if c == nil {
		c = new(count)
		p.counts[key] = c
	}
	c.samples++
	c.value += s.Value
	if p.Period > 0 {
		p.Longest = max(p.Longest, time.Duration(s.Value))
	}
}

// encode numbers the frames; it fails where one is new and there is no room.
func (p *Profile) encode(frames []Frame, room bool) (ids string, ok bool) {
	buf := make([]byte, 0, 4*len(frames))
	for _, f := range frames {
		id, ok := p.number[f]
		if !ok && !room {
			return "", false
		}
		if !ok {
			id = uint32(len(p.frames))
			p.frames = append(p.frames, f)
			p.number[f] = id
		}
		buf = binary.LittleEndian.AppendUint32(buf, id)
	}
	return string(buf), true
}

func (p *Profile) decode(ids string, frames []Frame) []Frame {
	for ; len(ids) >= 4; ids = ids[4:] {
		frames = append(frames, p.frames[binary.LittleEndian.Uint32([]byte(ids[:4]))])
	}
	return frames
}

// All yields the stacks by endpoint, within it the largest first. Frames is valid until the
// next step.
func (p *Profile) All() iter.Seq[Stack] {
	return func(yield func(Stack) bool) {
		var frames []Frame
		for _, key := range p.sorted() {
			c := p.counts[key]
			frames = p.decode(key.frames, frames[:0])
			if !yield(Stack{Endpoint: key.endpoint, Frames: frames, Samples: c.samples, Value: c.value}) {
				return
			}
		}
	}
}

func (p *Profile) sorted() []stackKey {
	return slices.SortedFunc(maps.Keys(p.counts), func(a, b stackKey) int {
		return cmp.Or(
			cmp.Compare(a.endpoint, b.endpoint),
			cmp.Compare(p.counts[b].value, p.counts[a].value),
			cmp.Compare(a.frames, b.frames),
		)
	})
}

// Totals are the samples and the sum of their values over all endpoints.
func (p *Profile) Totals() (samples, value int64) {
	for _, c := range p.counts {
		samples += c.samples
		value += c.value
	}
	return samples, value
}

// ByEndpoint is the sum of the values of each endpoint.
func (p *Profile) ByEndpoint() map[string]int64 {
	sums := map[string]int64{}
	for key, c := range p.counts {
		sums[key.endpoint] += c.value
	}
	return sums
}

// NoStack is the only frame of an endpoint whose sum is known and of which no stack was taken.
const NoStack = "[no stack taken]"

// know adds to the sum of an endpoint, which fit then holds its stacks to.
func (p *Profile) know(endpoint string, value int64) {
	if p.sums == nil {
		p.sums = map[string]int64{}
	}
	p.sums[endpoint] += value
}

// fit scales the stacks of each endpoint so that they add up to its sum: they say how it is divided. Without sums it
// leaves them as they are.
func (p *Profile) fit() {
	if p.sums == nil {
		return
	}
	drawn := p.ByEndpoint()
	left := maps.Clone(p.sums) // of the sum, and drawn of the stacks still to come: so that rounding loses nothing
	for _, key := range p.sorted() {
		c, rest := p.counts[key], drawn[key.endpoint]
		drawn[key.endpoint] -= c.value
		if rest > 0 {
			c.value = int64(float64(left[key.endpoint]) * float64(c.value) / float64(rest))
		}
		if left[key.endpoint] -= c.value; c.value == 0 {
			delete(p.counts, key)
		}
	}
	for endpoint, value := range left {
		if value > 0 {
			p.Add(endpoint, Sample{Value: value, Frames: []Frame{{Function: NoStack}}})
		}
	}
}

// Folded counts the samples whose stack found no more room, see MaxStacks.
func (p *Profile) Folded() uint64 { return p.folded }

// clone copies what Add changes.
func (p *Profile) clone() *Profile {
	c := *p
	c.frames = slices.Clone(p.frames)
	c.number = maps.Clone(p.number)
	c.sums = maps.Clone(p.sums)
	c.counts = make(map[stackKey]*count, len(p.counts))
	for key, n := range p.counts {
		n := *n
		c.counts[key] = &n
	}
	return &c
}
