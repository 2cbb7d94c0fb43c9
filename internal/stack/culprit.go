package stack

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/ring"
)

// maxRecent bounds the samples that are looked back over: ten seconds of four busy CPUs.
const maxRecent = 4096

// Stretch is a time of one thread, in ns on CLOCK_MONOTONIC.
type Stretch struct {
	PID, TID   uint32
	Start, End int64
}

// Culprits tells which function held a thread up during a stretch, by the samples that were
// taken of it. It holds each stretch until its samples have come out of the kernel, by the clock
// of Advance. Not for concurrent use.
type Culprits struct {
	hold   int64
	recent ring.Ring[glimpse]
	held   []question
}

// glimpse is what is kept of a sample: a hundred bytes, where its stack takes five thousand.
type glimpse struct {
	pid, tid    uint32
	time, value int64
	kind        Kind
	culprit     Frame
}

type question struct {
	Stretch
	answer func(function string)
}

// NewCulprits waits hold after the end of a stretch.
func NewCulprits(hold time.Duration) *Culprits { return &Culprits{hold: int64(hold)} }

// Sample takes a sample.
func (c *Culprits) Sample(s Sample) {
	if s.Kind == Alloc || s.Kind == Malloc {
		return // bytes are no time
	}
	c.recent.Push(glimpse{s.PID, s.TID, s.Time, s.Value, s.Kind, culprit(s.Frames)}, maxRecent)
}

// Ask calls answer once it can be known which function it was: "" where no sample was taken.
func (c *Culprits) Ask(x Stretch, answer func(function string)) {
	c.held = append(c.held, question{x, answer})
}

// Advance moves the clock to now, in ns on CLOCK_MONOTONIC.
func (c *Culprits) Advance(now int64) {
	n := 0
	for n < len(c.held) && now-c.held[n].End >= c.hold {
		c.held[n].answer(c.of(c.held[n].Stretch))
		n++
	}
	c.held = slices.Delete(c.held, 0, n)
}

// Flush answers all that is held, at the end of a run.
func (c *Culprits) Flush() {
	for _, q := range c.held {
		q.answer(c.of(q.Stretch))
	}
	c.held = nil
}

// of is the function that most samples of the stretch name.
func (c *Culprits) of(x Stretch) string {
	var within []*glimpse
	recent := c.recent.All()
	for i := range recent {
		if s := &recent[i]; s.pid == x.PID && s.tid == x.TID && x.Start <= s.time && s.time <= x.End {
			within = append(within, s)
		}
	}
	slices.SortFunc(within, func(a, b *glimpse) int { return cmp.Compare(a.time, b.time) })
	seen := map[string]int64{}
	for i, s := range within {
		weight := s.value
		if s.kind == OffCPU && s.value == 0 { // it slept from there on, at most until it ran again
			weight = x.End - s.time
			if i+1 < len(within) {
				weight = within[i+1].time - s.time
			}
		}
		if name := s.culprit.place(); name != "" {
			seen[name] += weight
		}
	}
	names := slices.Sorted(maps.Keys(seen))
	if len(names) == 0 {
		return ""
	}
	return slices.MaxFunc(names, func(a, b string) int { return cmp.Compare(seen[a], seen[b]) })
}

// Culprit names the function of a stack that somebody who wants to mend it would open: the
// innermost one of the application's own code, "search (api/routes.py)"; where there is none, the
// innermost Python function; "" without Python.
func Culprit(frames []Frame) string { return culprit(frames).place() }

// culprit is the frame of that function, none without Python.
func culprit(frames []Frame) (f Frame) {
	innermost := -1
	for i := range frames {
		if frames[i].Kind != Python {
			continue
		}
		if innermost < 0 {
			innermost = i
		}
		if ownCode(frames[i].File) {
			innermost = i
			break
		}
	}
	if innermost >= 0 {
		f = frames[innermost]
	}
	return f
}

// place is a function with its file, "search (api/routes.py)".
func (f Frame) place() string {
	if f.File == "" {
		return f.Function
	}
	return f.Function + " (" + shortPath(f.File) + ")"
}

// ownCode: not installed, not of the standard library, not made at run time.
func ownCode(file string) bool {
	for _, part := range [...]string{"/site-packages/", "/dist-packages/", "/lib/python3", "/lib/python2"} {
		if strings.Contains(file, part) {
			return false
		}
	}
	if file == "runpy.py" { // of python -m, frozen into the interpreter from 3.11 on and known without a folder
		return false
	}
	if path.Base(path.Dir(file)) == "bin" && path.Ext(file) == "" { // a launcher that pip wrote
		return false
	}
	return file != "" && file[0] != '<' && !strings.HasSuffix(file, ".pyx")
}

// shortPath is a file with its folder.
func shortPath(file string) string {
	folder := path.Base(path.Dir(file))
	if folder == "." || folder == "/" {
		return path.Base(file)
	}
	return folder + "/" + path.Base(file)
}
