package stack

import "maps"

// Of is the part of the profile that belongs to one endpoint.
func (p *Profile) Of(endpoint string) *Profile {
	out := p.clone()
	maps.DeleteFunc(out.counts, func(k stackKey, _ *count) bool { return k.endpoint != endpoint })
	return out
}
