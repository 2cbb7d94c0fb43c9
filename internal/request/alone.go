package request

// Served is what is known of a thread that has no execution contexts which could be read (runtimes that are
// not CPython): whose request it had read last and not answered.
type Served struct {
	Endpoint string // or a word, as EndpointAt's
	Told     bool   // else nothing is known of that instant
	Waits    bool   // the thread sleeps in epoll: it may serve many at once, and go on with any of them
	Queued   bool   // the connection had brought more than that request
}

// ServedAt is EndpointAt for such a thread.
func (t *Tracker) ServedAt(pid, tid uint32, at int64) Served {
	s := Served{Endpoint: t.EndpointAt(pid, tid, at)}
	if l := t.labels.before(pid, tid, at); l != nil {
		s.Told, s.Queued = true, l.queued
	}
	if th := t.threads[tid]; th != nil && th.pid == pid {
		s.Waits = th.slept != 0
	}
	return s
}
