package scenario

import (
	"fmt"
	"slices"
	"strings"
)

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
