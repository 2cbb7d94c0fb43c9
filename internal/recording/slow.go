package recording

import (
	"cmp"
	"slices"
)

// Slow is one of the slowest requests of an endpoint, with what it is called in logs and in a tracing system.
type Slow struct {
	ID       string  `json:"id"`                 // x-request-id
	TraceID  string  `json:"trace_id,omitempty"` // of traceparent, where one was sent
	Status   int     `json:"status"`             // 0: no answer
	Response float64 `json:"response"`           // seconds from the intended send time
	Service  float64 `json:"service"`            // seconds from the actual send
}

// maxSlowest bounds the slowest requests that are kept of an endpoint.
const maxSlowest = 5

// AddSlow puts a request among the slowest, if it is one of them.
func AddSlow(list []Slow, s Slow) []Slow {
	if len(list) == maxSlowest && s.Response <= list[maxSlowest-1].Response {
		return list
	}
	at, _ := slices.BinarySearchFunc(list, s, func(a, b Slow) int { return cmp.Compare(b.Response, a.Response) })
	list = slices.Insert(list, at, s)
	return list[:min(len(list), maxSlowest)]
}
