package census

import (
	"cmp"
	"slices"
)

// Growth is a container that holds more than it did.
type Growth struct {
	Type, Name    string
	Before, After int64    // entries; Before is 0 where it was below MinEntries
	Users         []string // see Container
}

// Grown are the containers that hold more, those that grew most first.
func Grown(before, after *Count) []Growth {
	var out []Growth
	for address, c := range after.Containers {
		was := before.Containers[address]
		if was.Type != c.Type {
			was = Container{} // another object at the same place
		}
		if c.Entries > was.Entries {
			out = append(out, Growth{Type: c.Type, Name: cmp.Or(c.Name, was.Name), Before: was.Entries, After: c.Entries, Users: c.Users})
		}
	}
	slices.SortFunc(out, func(a, b Growth) int {
		return cmp.Or(cmp.Compare(b.After-b.Before, a.After-a.Before), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return out
}
