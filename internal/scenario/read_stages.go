package scenario

// stages reads the load against time. The file's other fields of the load exclude it.
func (r *reader) stages(s *Scenario, n *node, f map[string]*node) {
	for _, other := range []string{"users", "rate", "spawn_rate"} {
		if f[other] != nil {
			r.fail(f[other], "%s and stages exclude one another: move %s into the stages", other, other)
		}
	}
	if n.kind != sequenceKind || len(n.items) == 0 {
		r.fail(n, "stages must be a list, such as - {users: 50, duration: 1m}")
		return
	}
	var open, closed bool
	s.Users, s.Rate = 0, 0
	for _, item := range n.items {
		stage := r.stage(item)
		open, closed = open || stage.rate, closed || stage.users
		s.Stages = append(s.Stages, stage.Stage)
		s.Users, s.Rate = max(s.Users, stage.Users), max(s.Rate, stage.Rate)
		if f["run_time"] == nil {
			s.RunTime += stage.Duration
		}
	}
	switch {
	case open && closed:
		r.fail(n, "some stages say users (the closed model) and some rate (the open one); write all of them in one way")
	case s.Users == 0 && s.Rate == 0 && len(r.errs) == 0:
		r.fail(n, "no stage has any load")
	}
}

type readStage struct {
	Stage
	users, rate bool // which of them stands there
}

func (r *reader) stage(n *node) readStage {
	f := r.mapping(n, "a stage", stageFields)
	if f == nil {
		return readStage{}
	}
	out := readStage{users: f["users"] != nil, rate: f["rate"] != nil}
	if out.users == out.rate {
		r.fail(n, "a stage needs users (closed model) or rate (open model), and not both")
	}
	if !r.zero(f["users"]) {
		out.Users = r.count(f["users"], "users")
	}
	if !r.zero(f["rate"]) {
		out.Rate = r.positive(f["rate"], "rate")
	}
	out.SpawnRate = r.positive(f["spawn_rate"], "spawn_rate")
	if f["duration"] == nil {
		r.fail(n, "a stage needs a duration, such as duration: 1m")
	}
	out.Duration = r.duration(f["duration"], "duration")
	return out
}

// zero says whether n is the number 0, which only a stage may be.
func (r *reader) zero(n *node) bool {
	if n == nil {
		return false
	}
	s, ok := r.plain(n, "a stage's load")
	return ok && (s == "0" || s == "0/s")
}
