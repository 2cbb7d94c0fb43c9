package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// Turn is a sequence of a class, by their indexes.
type Turn struct{ Class, Sequence int }

// Turns returns all turns that users may take, and a chooser over them for arrivals that belong
// to no user: a class by its weight, then one of its sequences by theirs.
func (s *Scenario) Turns() ([]Turn, Picker) {
	var turns []Turn
	var weights []float64
	for c := range s.Classes {
		class := &s.Classes[c]
		for i, q := range class.Turns {
			turns = append(turns, Turn{c, i})
			weights = append(weights, class.Weight*q.Weight/class.sum())
		}
	}
	return turns, newPicker(weights)
}

// Picker returns a chooser over the class's turns.
func (c *Class) Picker() Picker {
	weights := make([]float64, len(c.Turns))
	for i, q := range c.Turns {
		weights[i] = q.Weight
	}
	return newPicker(weights)
}

func (c *Class) sum() (sum float64) {
	for _, q := range c.Turns {
		sum += q.Weight
	}
	return sum
}

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

// index gathers the kinds of requests of all classes into Tasks. Requests with the same method
// and name are counted as one kind, as Locust does.
func (s *Scenario) index() {
	s.Tasks = nil
	known := map[string]int{}
	add := func(steps []Step, share float64) {
		for i := range steps {
			t := steps[i].Task
			key := t.Method + " " + t.Name
			entry, ok := known[key]
			if !ok {
				entry = len(s.Tasks)
				known[key] = entry
				s.Tasks = append(s.Tasks, *t)
				s.Tasks[entry].Weight = 0
			}
			s.Tasks[entry].Weight += share
			steps[i].Entry = entry
		}
	}
	for c := range s.Classes {
		class := &s.Classes[c]
		scale := 1.0
		if len(s.Classes) > 1 {
			scale = class.Weight / class.sum()
		}
		add(class.OnStart.Steps, 0)
		for _, q := range class.Turns {
			add(q.Steps, q.Weight*scale)
		}
	}
}

// Filter keeps the turns that carry any of the tags (all, when tags is empty) and none of
// the excluded ones. It is an error when none is left.
func (s *Scenario) Filter(tags, excluded []string) error {
	all := s.tags()
	for c := range s.Classes {
		s.Classes[c].Turns = slices.DeleteFunc(slices.Clone(s.Classes[c].Turns), func(q Sequence) bool {
			has := func(tag string) bool { return slices.Contains(q.Tags, tag) }
			return len(tags) > 0 && !slices.ContainsFunc(tags, has) || slices.ContainsFunc(excluded, has)
		})
	}
	s.Classes = slices.DeleteFunc(s.Classes, func(c Class) bool { return len(c.Turns) == 0 })
	if len(s.Classes) == 0 {
		return fmt.Errorf("no task of scenario %s is left after --tags %v --exclude-tags %v; its tags are %v", s.Name, tags, excluded, all)
	}
	s.index()
	return nil
}

func (s *Scenario) tags() []string {
	var all []string
	for _, c := range s.Classes {
		for _, q := range c.Turns {
			all = append(all, q.Tags...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Only keeps the named classes.
func (s *Scenario) Only(names []string) error {
	if len(names) == 0 {
		return nil
	}
	var known []string
	for _, c := range s.Classes {
		if c.Name != "" {
			known = append(known, c.Name)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("user class %s is not in scenario %s; its classes are %s", name, s.Name, orNone(known))
		}
	}
	s.Classes = slices.DeleteFunc(s.Classes, func(c Class) bool { return !slices.Contains(names, c.Name) })
	s.index()
	return nil
}

// OnlyTasks keeps those turns of a class that are named.
func (s *Scenario) OnlyTasks(class string, names []string) error {
	for i := range s.Classes {
		if c := &s.Classes[i]; c.Name == class {
			c.Turns = slices.DeleteFunc(c.Turns, func(q Sequence) bool { return !slices.Contains(names, q.Name) })
		}
	}
	s.Classes = slices.DeleteFunc(s.Classes, func(c Class) bool { return len(c.Turns) == 0 })
	if len(s.Classes) == 0 {
		return fmt.Errorf("no task of scenario %s is left; none is named one of %v", s.Name, names)
	}
	s.index()
	return nil
}

// Equalize gives every turn of a class the same weight.
func (s *Scenario) Equalize() {
	for c := range s.Classes {
		for i := range s.Classes[c].Turns {
			s.Classes[c].Turns[i].Weight = 1
		}
	}
	s.index()
}

// SetThink gives all users the same pause.
func (s *Scenario) SetThink(t Think) {
	for i := range s.Classes {
		s.Classes[i].Think = t
	}
}

// ThinkTime is the users' pause in words: "1s..3s", or that of each class.
func (s *Scenario) ThinkTime() string {
	if len(s.Classes) == 0 {
		return Think{}.String()
	}
	var words []string
	same := true
	for _, c := range s.Classes {
		words = append(words, c.Name+" "+c.Think.String())
		same = same && c.Think == s.Classes[0].Think
	}
	if same && len(words) > 0 {
		return s.Classes[0].Think.String()
	}
	return strings.Join(words, ", ")
}

// SetHost sends everything to one base URL.
func (s *Scenario) SetHost(host string) {
	s.Host = host
	for i := range s.Classes {
		s.Classes[i].Host = ""
	}
}
