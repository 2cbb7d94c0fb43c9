package stack

import (
	"cmp"
	"maps"
	"slices"
)

// Of is the part of the profile that belongs to one endpoint.
func (p *Profile) Of(endpoint string) *Profile {
	out := p.clone()
	maps.DeleteFunc(out.counts, func(k stackKey, _ *count) bool { return k.endpoint != endpoint })
	return out
}

// Largest is the profile with its n largest stacks; the others of each endpoint are one of
// OtherStacks. For those who can show or bear so many only.
func (p *Profile) Largest(n int) *Profile {
	out := p.clone()
	if len(p.counts) <= n {
		return out
	}
	keys := slices.SortedFunc(maps.Keys(p.counts), func(a, b stackKey) int {
		return cmp.Or(cmp.Compare(p.counts[b].value, p.counts[a].value), cmp.Compare(a.endpoint, b.endpoint), cmp.Compare(a.frames, b.frames))
	})
	other, _ := out.encode([]Frame{{Function: OtherStacks}}, false)
	for _, key := range keys[n:] {
		c := out.counts[key]
		delete(out.counts, key)
		rest := stackKey{key.endpoint, other}
		if out.counts[rest] == nil {
			out.counts[rest] = new(count)
		}
		out.counts[rest].samples += c.samples
		out.counts[rest].value += c.value
	}
	return out
}
