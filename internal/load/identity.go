package load

import (
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// Identity is under what names a request stands elsewhere: in logs, in an agent's lines, in a tracing system.
type Identity struct {
	ID      string    // x-request-id, as it was sent
	TraceID string    // of traceparent, 32 hexadecimal digits; "": none was sent
	Sent    time.Time // as Answer.Sent
}

// appendTraceparent appends a value of the header traceparent (W3C Trace Context, version 00) with new ids and
// the flag sampled, so that tracing systems keep the request. The ids are drawn from the runtime's own source,
// not from the run's seed: two runs that send the same must not share traces. All of an id is random, since
// systems that sample take some of its bits.
func appendTraceparent(dst []byte) []byte {
	var ids [24]byte
	for i := range 3 {
		v := rand.Uint64()
		for v == 0 { // ids of zeros alone are not valid
			v = rand.Uint64()
		}
		for j := range 8 {
			ids[8*i+j] = byte(v >> (56 - 8*j))
		}
	}
	dst = hex.AppendEncode(append(dst, "00-"...), ids[:16])
	dst = hex.AppendEncode(append(dst, '-'), ids[16:])
	return append(dst, "-01"...)
}

// identity returns what the request is called; a task's own headers go before the loader's.
func (r *Request) identity(sent time.Time) *Identity {
	id, trace := r.ID, r.Traceparent
	for i := range r.Headers {
		switch h := &r.Headers[i]; {
		case equalFold(h.Name, "x-request-id"):
			id = h.Value
		case equalFold(h.Name, "traceparent"):
			trace = h.Value
		}
	}
	return &Identity{ID: string(id), TraceID: traceID(trace), Sent: sent}
}

// traceID is the trace id of a traceparent, "" where it is none.
func traceID(parent []byte) string {
	const from, to = len("00-"), len("00-") + 32
	if len(parent) < to || parent[from-1] != '-' {
		return ""
	}
	return string(parent[from:to])
}
