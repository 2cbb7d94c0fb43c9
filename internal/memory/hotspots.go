package memory

import (
	"cmp"
	"errors"
	"slices"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// maxHotspots bounds the list: what a person reads, and a few more.
const maxHotspots = 30

// Hotspots are the stacks that took most memory, the largest first. p is a profile of Kind Alloc;
// nil, or an empty one: an error says why there are none.
func Hotspots(p *stack.Profile) ([]recording.Hotspot, error) {
	if p == nil {
		return nil, errors.New("allocation stacks are not sampled")
	}
	var all []stack.Stack
	for s := range p.All() {
		s.Frames = slices.Clone(s.Frames) // All uses them again
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, errors.New("no allocation was sampled")
	}
	slices.SortStableFunc(all, func(a, b stack.Stack) int { return cmp.Compare(b.Value, a.Value) })
	var out []recording.Hotspot
	for _, s := range all[:min(maxHotspots, len(all))] {
		h := recording.Hotspot{Function: stack.Culprit(s.Frames), Bytes: s.Value, Endpoint: s.Endpoint, Samples: s.Samples}
		for _, f := range slices.Backward(s.Frames) {
			h.Stack = append(h.Stack, f.Function)
		}
		out = append(out, h)
	}
	return out, nil
}
