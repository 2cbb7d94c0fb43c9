// Package simulate is a target that does not exist: asyncio servers with pools, locks, worker
// threads and a gRPC channel, which emit the events that the kernel side would and know the truth.
// Tests hold the heart's facts against it, over thousands of seeds.
//
// In: a seed and what the target may do. Out: events in time order, and for each request and call
// what really happened. The same seed gives the same run. Only tests import it.
package simulate

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// Traits are what the handlers of a target may do besides sleeping, computing and calling over
// pools.
type Traits uint16

// The traits.
const (
	Locks      Traits = 1 << iota // asyncio locks and semaphores, of the application's own
	Threads                       // work handed to threads, some of which hold the GIL or block
	GRPC                          // calls over one channel, with a limit of streams
	Background                    // tasks that outlive their request, and calls after the answer
	Blocking                      // calls that sleep on the event loop
	Workers                       // several processes, whose contexts have the same addresses
	Hasty                         // connections that were accepted late, or were open before the agent came
	Streams                       // answers of a language model, passed on token by token
	Shared                        // calls over one connection that do not wait for each other's answers
	Messages                      // a subscription, whose messages are no calls

	All = 1<<iota - 1
)

// A Run is one simulated run.
type Run struct {
	Events   []event.Event
	Late     bool // uvloop: a socket is read before its connection's context is entered
	Requests map[string]*Request
	Calls    map[Sent]*Call
	Pools    []Pool
	PIDs     []uint32
	Slowest  int64 // the longest turn of an event loop, in ns
	End      int64
}

// Sent is when and on which connection a call was sent: what identifies it. No two are equal.
type Sent struct {
	Connection uint64
	At         int64
}

// Call is the truth of a call.
type Call struct {
	Request string  // its id
	Wait    int64   // ns it waited for its connection, until it had it
	Lock    int64   // ns it had waited for a lock right before: from outside a lock whose holder gives back a connection too looks like its pool
	Stream  bool    // of the channel
	Twin    bool    // its message is that of other calls as well: who writes it is all that tells them apart
	After   bool    // its request had been answered
	Tokens  []int64 // arrivals, of a language model's answer
}

// Request is the truth of a request. Times are those of the events.
type Request struct {
	ID                 string
	Arrive, Read, Last int64
	CPU                int64   // ns of its own tasks on the event loop
	Idle               int64   // at most: ns of sleeps, locks and the work of threads
	Calls              int     // made before it was answered
	Streams            bool    // its answer is sent in pieces
	Forwards           []int64 // ns from the arrival of a token to its being sent
}

// Pool is the truth of a pool.
type Pool struct {
	PID  uint32
	Port uint16
	Made int // connections
}

const (
	us = 1_000
	ms = 1_000_000
)

// New runs the target.
func New(seed uint64, with Traits) *Run {
	rng := rand.New(rand.NewPCG(seed, 3))
	r := &Run{Late: rng.IntN(2) == 0, Requests: map[string]*Request{}, Calls: map[Sent]*Call{}}
	n := 1
	if with&Workers != 0 {
		n += rng.IntN(2)
	}
	for i := range n {
		newProcess(r, rng, with, uint32(100*(i+1))).serve()
	}
	slices.SortStableFunc(r.Events, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	return r
}
