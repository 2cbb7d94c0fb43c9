package report

import (
	"math"

	"github.com/ragscope/ragscope/internal/recording"
)

// sameRequests is how far both counts may differ, as a share, for the means of both sides to be compared: more
// would be other clients' requests, or requests that the agent missed.
const sameRequests = .01

// splitTable says whose the mean response time was that the loader saw; nil where nothing can be compared.
func splitTable(r *recording.Recording) *Table {
	t := &Table{Caption: "Where the loader's mean response time went", Columns: columns("Endpoint", "Response mean,Sent late,Network and client,Accept queue,Receive queue,Application"),
		Note: "Sent late: from the intended to the actual send. Network and client: service time without what the agent saw on the target's host. " +
			"Queues: in the target's sockets, before it read the request. Application: the rest of the agent's time, its waits for others included."}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		if s := splitOf(e); s != nil {
			t.row(plain(e.Endpoint, recording.Seconds(s.response), recording.Seconds(s.late), recording.Seconds(s.outside), recording.Seconds(s.accept), recording.Seconds(s.receive), recording.Seconds(s.application))...)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

// clientSplit is parts of a mean response time, in seconds; they add up to it.
type clientSplit struct{ response, late, outside, accept, receive, application float64 }

// splitOf is nil where loader and agent did not see the same requests.
func splitOf(e *recording.Endpoint) *clientSplit {
	c := e.Client
	if c == nil || c.Response.Count == 0 || c.Service.Count == 0 || e.Latency.Count == 0 {
		return nil
	}
	if math.Abs(float64(e.Latency.Count-c.Service.Count)) > sameRequests*float64(c.Service.Count) {
		return nil
	}
	s := clientSplit{response: c.Response.Mean()}
	s.late = s.response - c.Service.Mean()
	s.outside = c.Service.Mean() - e.Latency.Mean()
	followed, _ := e.Basis()
	for _, x := range e.Stages {
		switch x.Stage {
		case "accept_queue":
			s.accept += ratio(x.Sum, float64(followed))
		case "receive_queue":
			s.receive += ratio(x.Sum, float64(followed))
		}
	}
	s.application = e.Latency.Mean() - s.accept - s.receive
	return &s
}
