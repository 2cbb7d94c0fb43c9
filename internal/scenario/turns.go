package scenario

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
