package load

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// Plan is the load against time: users in the closed model, requests a second in the open one.
// It is made of straight lines, so that instants can be computed instead of stepped to, and it
// is a value: a change makes a new one. The zero Plan is no load.
type Plan struct{ steps []step }

// step is one line, up to the start of the next one.
type step struct {
	at    time.Duration // offset from the start of the run
	level float64       // at that instant
	slope float64       // level a second
	sum   float64       // integral of the level until then: in the open model, requests due
}

// planOf is what the scenario asks for.
func planOf(s *scenario.Scenario) Plan {
	if len(s.Stages) == 0 {
		if s.Rate > 0 {
			return Plan{}.To(0, s.Rate, 0)
		}
		return Plan{}.To(0, float64(max(s.Users, 1)), max(s.SpawnRate, 1e-9))
	}
	var p Plan
	var at time.Duration
	for _, stage := range s.Stages {
		level, speed := stage.Level(), stage.SpawnRate
		if speed == 0 { // over the whole stage
			speed = math.Abs(level-p.Level(at)) / stage.Duration.Seconds()
		}
		p = p.To(at, level, speed)
		at += stage.Duration
	}
	return p
}

// To returns the plan that moves to another level from the instant at on, by so much a second;
// 0: at once. What was planned after at is dropped.
func (p Plan) To(at time.Duration, level, perSecond float64) Plan {
	now, sum := p.Level(at), p.Sum(at)
	kept := slices.Clone(p.steps[:p.index(at)+1])
	if n := len(kept); n > 0 && kept[n-1].at == at {
		kept = kept[:n-1]
	}
	if perSecond <= 0 || now == level {
		return Plan{append(kept, step{at, level, 0, sum})}
	}
	took := seconds(math.Abs(level-now) / perSecond)
	kept = append(kept, step{at, now, math.Copysign(perSecond, level-now), sum})
	if took < math.MaxInt64-at {
		kept = append(kept, step{at + took, level, 0, sum + (now+level)/2*took.Seconds()})
	}
	return Plan{kept}
}

// since drops the lines that ended before the instant.
func (p Plan) since(at time.Duration) Plan { return Plan{p.steps[max(p.index(at), 0):]} }

// index is the step of an instant, -1 before the first.
func (p Plan) index(at time.Duration) int {
	i := len(p.steps) - 1
	for ; i >= 0 && p.steps[i].at > at; i-- {
	}
	return i
}

// end is where step i ends.
func (p Plan) end(i int) time.Duration {
	if i+1 < len(p.steps) {
		return p.steps[i+1].at
	}
	return math.MaxInt64
}

// Level is the load at an instant.
func (p Plan) Level(at time.Duration) float64 {
	i := p.index(at)
	if i < 0 {
		return 0
	}
	return p.steps[i].levelAt(at)
}

func (s step) levelAt(at time.Duration) float64 { return s.level + s.slope*(at-s.at).Seconds() }

// Sum is the integral of the level from the start to an instant.
func (p Plan) Sum(at time.Duration) float64 {
	i := p.index(at)
	if i < 0 {
		return 0
	}
	s := p.steps[i]
	x := (at - s.at).Seconds()
	return s.sum + x*(s.level+s.slope*x/2)
}

// When is the first instant at which Sum reaches n while there is load; the longest Duration
// when it never does.
func (p Plan) When(n float64) time.Duration {
	for i, s := range p.steps {
		if s.level <= 0 && s.slope <= 0 {
			continue
		}
		// s.slope/2·x² + s.level·x = n − s.sum, solved so that a slope of 0 divides by nothing.
		left := max(n-s.sum, 0)
		root := s.level*s.level + 2*s.slope*left
		if root < 0 {
			continue
		}
		x := time.Duration(0)
		if left > 0 {
			x = seconds(2 * left / (s.level + math.Sqrt(root)))
		}
		if end := p.end(i); x < end-s.at {
			return s.at + x
		}
	}
	return math.MaxInt64
}

// nearly is what rounding may move a level by.
const nearly = 1e-6

// Change says when a crowd of n, that followed the plan until from, becomes one more (by is 1)
// or one less (-1) to go on following it: there are always as many as the level, rounded up.
// resting says that the plan stands still before. by is 0 when nothing changes any more.
func (p Plan) Change(n int, from time.Duration) (at time.Duration, by int, resting bool) {
	size := float64(n)
	for i := max(p.index(from), 0); i < len(p.steps); i++ {
		s, end := p.steps[i], p.end(i)
		begin := max(from, s.at)
		switch level := s.levelAt(begin); {
		case level > size+nearly, s.slope > 0 && level > size-nearly:
			return begin, 1, resting
		case level < size-1-nearly, s.slope <= 0 && level < size-1+nearly:
			return begin, -1, resting
		case s.slope > 0:
			if at := s.at + seconds((size-s.level)/s.slope); at < end {
				return at, 1, resting
			}
		case s.slope < 0:
			if at := s.at + seconds((size-1-s.level)/s.slope); at < end {
				return at, -1, resting
			}
		default:
			resting = true
		}
	}
	return math.MaxInt64, 0, true
}

// String lists the corners: "0 at 0s, 50 from 5s".
func (p Plan) String() string {
	var out []string
	for _, s := range p.steps {
		word := "from"
		if s.slope != 0 {
			word = "at"
		}
		out = append(out, fmt.Sprintf("%g %s %v", s.level, word, s.at))
	}
	return strings.Join(out, ", ")
}
