package scenario

// Spread says which class each user is of: first the fixed numbers, then by weight, always the
// class that lacks most, so that the shares are right at any number of users.
type Spread struct {
	classes []Class
	sum     float64 // of the weights
	counts  []int
	free    int // users that were spread by weight
	of      []int
}

// Spread returns a new one.
func (s *Scenario) Spread() *Spread {
	p := &Spread{classes: s.Classes, counts: make([]int, len(s.Classes))}
	for _, c := range s.Classes {
		if c.Fixed == 0 {
			p.sum += c.Weight
		}
	}
	return p
}

// Class returns the index of the class of a user; users count from 1.
func (p *Spread) Class(user int) int {
	for len(p.of) < user {
		p.of = append(p.of, p.next())
	}
	return p.of[user-1]
}

func (p *Spread) next() int {
	for i, c := range p.classes {
		if p.counts[i] < c.Fixed {
			p.counts[i]++
			return i
		}
	}
	if p.sum == 0 { // nothing but fixed numbers, and more users than these
		i := len(p.of) % len(p.classes)
		return i
	}
	p.free++
	best, lack := 0, -1.0
	for i, c := range p.classes {
		if c.Fixed > 0 {
			continue
		}
		if l := c.Weight/p.sum*float64(p.free) - float64(p.counts[i]); l > lack+1e-9 {
			best, lack = i, l
		}
	}
	p.counts[best]++
	return best
}
