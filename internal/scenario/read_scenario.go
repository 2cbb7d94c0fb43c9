package scenario

// The fields of a scenario file, by the mapping they stand in. scenario.schema.json lists the
// same ones; a test holds the two together.
var (
	scenarioFields = []string{"name", "host", "users", "spawn_rate", "rate", "arrival", "max_in_flight", "stages", "run_time", "timeout", "think_time", "client", "data", "headers", "auth", "set", "on_start", "tasks", "user_classes", "thresholds"}
	stageFields    = []string{"users", "rate", "spawn_rate", "duration"}
	clientFields   = []string{"connect_timeout", "first_byte_timeout", "keep_alive", "http2", "insecure"}
	dataFields     = []string{"file", "order"}
	authFields     = []string{"basic", "bearer"}
	basicFields    = []string{"user", "password"}
	classFields    = []string{"name", "weight", "fixed_count", "host", "think_time", "headers", "auth", "set", "on_start", "tasks"}
	taskFields     = []string{"name", "weight", "tags", "set", "request", "check", "save", "steps"}
	stepFields     = []string{"name", "set", "request", "check", "save", "think_time"}
	requestFields  = []string{"method", "path", "headers", "json", "body", "form", "query", "stream"}
	checkFields    = []string{"status", "contains", "regexp", "has", "json", "headers", "time", "done"}
	saveFields     = []string{"json", "header", "regexp"}
)

func (r *reader) scenario(root *node) *Scenario {
	f := r.mapping(root, "the scenario", scenarioFields)
	s := &Scenario{
		Name:        r.text(f["name"], "name"),
		Host:        r.text(f["host"], "host"),
		Users:       r.count(f["users"], "users"),
		SpawnRate:   r.positive(f["spawn_rate"], "spawn_rate"),
		Rate:        r.positive(f["rate"], "rate"),
		MaxInFlight: r.count(f["max_in_flight"], "max_in_flight"),
		RunTime:     r.duration(f["run_time"], "run_time"),
		Timeout:     r.duration(f["timeout"], "timeout"),
		Client:      r.client(f["client"]),
	}
	if s.Users > 0 && s.Rate > 0 {
		r.fail(f["rate"], "users and rate exclude one another: users is the closed model, rate the open one; remove one")
	}
	if n := f["stages"]; n != nil {
		r.stages(s, n, f)
	}
	if n := f["arrival"]; n != nil {
		switch a := r.text(n, "arrival"); a {
		case "constant", "poisson":
			s.Poisson = a == "poisson"
		default:
			r.fail(n, "arrival must be constant or poisson, not %q", a)
		}
	}
	r.dataSets(f["data"])
	s.Classes = r.classes(root, f)
	s.sets, s.variables = r.sets, make([]string, len(r.vars))
	for name, i := range r.vars {
		s.variables[i] = name
	}
	s.index()
	r.thresholds(s, f["thresholds"])
	return s
}

func (r *reader) client(n *node) Client {
	if n == nil {
		return Client{}
	}
	f := r.mapping(n, "client", clientFields)
	return Client{
		ConnectTimeout:   r.duration(f["connect_timeout"], "connect_timeout"),
		FirstByteTimeout: r.duration(f["first_byte_timeout"], "first_byte_timeout"),
		NoKeepAlive:      f["keep_alive"] != nil && !r.flag(f["keep_alive"], "keep_alive"),
		HTTP2:            r.flag(f["http2"], "http2"),
		Insecure:         r.flag(f["insecure"], "insecure"),
	}
}

func (r *reader) think(n *node) (t Think) {
	if n == nil {
		return t
	}
	if text, ok := r.plain(n, "think_time"); ok {
		var err error
		if t, err = ParseThink(text); err != nil {
			r.fail(n, "think_time: %v", err)
		}
	}
	return t
}

func (r *reader) thresholds(s *Scenario, n *node) {
	if n == nil {
		return
	}
	if n.kind != sequenceKind {
		r.fail(n, "thresholds must be a list; start each with \"- \"")
		return
	}
	for _, item := range n.items {
		th, err := ParseThreshold(r.text(item, "a threshold"))
		if err == nil && len(r.errs) == 0 { // else the tasks are not all known
			err = s.checkThreshold(th)
		}
		if err != nil {
			r.fail(item, "%v", err)
			continue
		}
		s.Thresholds = append(s.Thresholds, th)
	}
}
