package locust

import (
	"fmt"
	"strconv"
)

// JSON is what --json prints and --json-file writes: Locust's serialised statistics, in the
// order in which the tasks had their first request.
func (s *Stats) JSON() []byte {
	j := &pyJSON{}
	j.open('[')
	for _, e := range s.order {
		j.next()
		e.json(j)
	}
	j.close(']')
	return []byte(j.String())
}

func (e *Entry) json(j *pyJSON) {
	j.open('{')
	j.member("name", pyJSONString(e.Name))
	j.member("method", pyJSONString(e.Method))
	j.member("last_request_timestamp", pyFloat(e.last))
	j.member("start_time", pyFloat(e.start))
	j.member("num_requests", count(e.Requests))
	j.member("num_none_requests", "0")
	j.member("num_failures", count(e.Failures))
	j.member("total_response_time", pyFloat(e.TotalTime))
	j.member("max_response_time", pyFloat(e.Max))
	j.member("min_response_time", pyFloat(e.Min))
	j.member("total_content_length", count(e.ContentLength))
	j.key("response_times")
	j.open('{')
	for _, t := range sortedKeys(e.times) {
		j.member(strconv.Itoa(t), count(e.times[t]))
	}
	j.close('}')
	for _, c := range []struct {
		name string
		counts
	}{{"num_reqs_per_sec", e.perSecond}, {"num_fail_per_sec", e.failPerSecond}} {
		j.key(c.name)
		j.open('{')
		for _, second := range c.order {
			j.member(fmt.Sprint(second), count(c.n[second]))
		}
		j.close('}')
	}
	j.close('}')
}
