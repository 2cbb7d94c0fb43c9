package request

import (
	"testing"

	"github.com/ragscope/ragscope/internal/kernel/event"
	"github.com/ragscope/ragscope/internal/request/simulate"
)

// sampled is a stack that is taken of the thread now.
func (p *tape) sampled(flags event.Flags) *tape {
	return p.add(event.Event{Type: event.Sample, Flags: flags})
}

// stands is a thread that stands in a context, without a trap: a stack is taken of it.
func (p *tape) stands(tid uint32, ctx uint64, flags event.Flags) *tape {
	return p.on(tid).as(ctx).sampled(flags)
}

// tellsOf feeds a tape at a step and returns what is said of its last stack.
func tellsOf(t *testing.T, p *tape, step Step) string {
	t.Helper()
	tr := newTracker(&facts{}, false)
	tr.Turn(step, 0)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	last := p.events[len(p.events)-1]
	if last.Type != event.Sample {
		t.Fatalf("the tape ends with an event of type %d", last.Type)
	}
	return tr.EndpointAt(last.PID, last.TID, last.Time+3000)
}

const ownContext = 7 // of the event loop's thread, which nobody entered

// read is a loop that has read /a in the connection's context 10 and made the request's, 30, of it.
func read() *tape {
	return newTape().at(0.1).as(ownContext).add(event.Event{Type: event.Loop}).midway(1).at(1).enter(10).in(1, 1, get("/a")).copied(30)
}

// unseen is the same where no context is seen to be entered.
func unseen() *tape {
	return newTape().at(0.1).slept(0.05).midway(1).at(1).as(10).in(1, 1, get("/a")).copied(30)
}

func TestStackOfRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		step Step
		tape *tape
	}{
		"its context":            {Followed, read().enter(30).at(2).sampled(0)},
		"its child's":            {Followed, read().enter(30).copied(40).enter(40).at(2).sampled(0)},
		"the server reads it":    {Followed, read().at(2).sampled(0)},
		"the loop reads for it":  {Followed, newTape().at(0.1).as(ownContext).add(event.Event{Type: event.Loop}).midway(1).at(1).in(1, 1, get("/a")).at(1.1).sampled(event.Base)},
		"after its answer":       {Followed, read().enter(30).at(2).reply(1, ok).at(3).sampled(0)},
		"linked":                 {Linked, unseen().at(2).stands(loopTID, 30, 0)},
		"linked, its child's":    {Linked, unseen().as(30).copied(40).at(2).stands(loopTID, 40, 0)},
		"linked, in a thread":    {Linked, unseen().as(30).copied(40).at(2).stands(300, 40, 0)},
		"the work of a thread":   {Linked, unseen().as(30).puts(500).on(300).as(0).takes(500).at(2).sampled(0)},
		"… in a context of its":  {Linked, unseen().as(30).puts(500).on(300).as(9).takes(500).at(2).sampled(event.Base)},
		"a thread that reads it": {Linked, newTape().at(1).on(300).midway(1).in(1, 1, get("/a")).at(2).sampled(0)},
		"… at less precision":    {Apart, newTape().at(1).on(300).midway(1).in(1, 1, get("/a")).at(2).sampled(0)},
		"… not of CPython":       {Apart, newTape().at(1).on(300).midway(1).in(1, 1, get("/a")).at(2).sampled(event.Foreign)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tellsOf(t, tt.tape, tt.step); got != "GET /a" {
				t.Errorf("it is of %q", got)
			}
		})
	}
}

func TestStackOfNoRequest(t *testing.T) {
	answered := func() *tape { return read().enter(30).at(2).reply(1, ok) }
	for name, tt := range map[string]struct {
		want string
		step Step
		tape *tape
	}{
		"between two steps":                              {InEventLoop, Followed, answered().loop().at(3).stands(loopTID, ownContext, event.Base)},
		"… linked":                                       {InEventLoop, Linked, unseen().at(2).stands(loopTID, ownContext, event.Base)},
		"… at less precision":                            {InEventLoop, Apart, unseen().at(2).stands(loopTID, ownContext, event.Base)},
		"a task of the loop's own":                       {BackgroundTask, Followed, newTape().at(0.1).as(ownContext).add(event.Event{Type: event.Loop}).copied(50).enter(50).at(2).sampled(0)},
		"a task that was there before us":                {BackgroundTask, Followed, read().loop().enter(60).at(2).sampled(0)},
		"… linked: whose, it cannot tell":                {NotLinked, Linked, unseen().at(2).stands(loopTID, 60, 0)},
		"a task of it, linked":                           {NotLinked, Linked, unseen().as(60).copied(61).at(2).stands(loopTID, 61, 0)},
		"a context whose task has ended":                 {NotLinked, Linked, unseen().at(2).stands(loopTID, 30, event.Stale)},
		"at the least precision":                         {NotLinked, Apart, unseen().at(2).stands(loopTID, 30, 0)},
		"a connection between requests":                  {InConnection, Followed, newTape().at(0.1).loop().syn(1).accept(1).copied(10).enter(10).at(2).sampled(0)},
		"a thread without a thread state":                {OtherThread, Followed, read().at(2).stands(400, 0, event.NoThread)},
		"… at the least precision":                       {OtherThread, Apart, unseen().at(2).stands(400, 0, event.NoThread)},
		"a thread of the program's own":                  {OtherThread, Followed, read().at(2).stands(300, 0, 0)},
		"… whose own context lies where a request's was": {OtherThread, Followed, answered().on(300).at(3).stands(300, 30, event.Base)},
		"… so, linked":                                   {OtherThread, Linked, unseen().at(2).stands(300, 30, event.Base)},
		"a thread between two works":                     {OtherThread, Followed, handed().on(300).as(0).at(3).takes(500).at(4).doneWith(500).at(5).sampled(0)},
		"work of nobody's":                               {BackgroundTask, Followed, read().on(301).as(99).puts(800).on(300).as(0).takes(800).at(3).sampled(0)},
		"an answered one's thread":                       {OtherThread, Linked, newTape().at(1).on(300).midway(1).in(1, 1, get("/a")).at(2).reply(1, ok).at(3).sampled(0)},
		"another runtime's":                              {"", Linked, newTape().at(1).sampled(event.Foreign)},
		"another runtime's, which has slept":             {"", Linked, newTape().at(1).midway(1).in(1, 1, get("/a")).at(3).slept(2).sampled(event.Foreign)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tellsOf(t, tt.tape, tt.step); got != tt.want {
				t.Errorf("it is of %q, want %q", got, tt.want)
			}
		})
	}
}

// A process starts up until it waits in its event loop or reads what a client sends, if its start was seen.
func TestStackOfStart(t *testing.T) {
	for name, tt := range map[string]struct {
		want string
		tape *tape
	}{
		"imports":               {StartingUp, newTape().at(1).as(ownContext).sampled(event.Base)},
		"imports in a task":     {StartingUp, newTape().at(1).loop().enter(50).at(2).sampled(0)},
		"has waited":            {BackgroundTask, newTape().at(1).loop().at(3).slept(2).enter(50).sampled(0)},
		"has read":              {BackgroundTask, newTape().at(1).loop().midway(1).in(1, 1, get("/a")).loop().enter(50).at(2).sampled(0)},
		"was not seen to start": {OtherThread, newTape().on(101).at(1).sampled(0)},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTracker(&facts{}, false)
			if tt.want != OtherThread {
				tr.Starting(apiPID)
			}
			for i := range tt.tape.events {
				tr.Feed(&tt.tape.events[i])
			}
			if got := tr.EndpointAt(apiPID, tt.tape.tid, tt.tape.now); got != tt.want {
				t.Errorf("it is of %q, want %q", got, tt.want)
			}
		})
	}
	tr := newTracker(&facts{}, false)
	for i := range unseen().events {
		tr.Feed(&unseen().events[i])
	}
	if tr.Starting(apiPID); tr.starting[apiPID] {
		t.Error("a process that serves is said to start up")
	}
}

// Whose the context is may be known by its answer only: then the stacks before it are of that request, too.
func TestStackBeforeItsContextIsKnown(t *testing.T) {
	p := newTape().at(0.1).slept(0.05).midway(1).at(1).as(10).in(1, 1, get("/a")).at(1.5).stands(loopTID, 60, 0).as(60).copied(61).
		at(1.7).stands(loopTID, 61, 0).at(2).as(60).reply(1, ok).at(4).stands(loopTID, 60, 0)
	tr := newTracker(&facts{}, false)
	tr.Turn(Linked, 0)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	for at, want := range map[float64]string{1.5: "GET /a", 1.7: "GET /a", 4: NotLinked} {
		if got := tr.EndpointAt(apiPID, loopTID, ms(at)); got != want {
			t.Errorf("%g ms: it is of %q, want %q", at, got, want)
		}
	}
}

// Where contexts are not linked, that which answers is still known; its child's and what it does later are not.
func TestStackOfTheContextThatAnswers(t *testing.T) {
	p := newTape().at(0.1).slept(0.05).midway(1).at(1).as(10).in(1, 1, get("/a")).at(1.5).stands(loopTID, 60, 0).at(1.7).stands(loopTID, 61, 0).
		at(1.8).stands(loopTID, ownContext, event.Base).at(1.9).stands(loopTID, 60, event.Stale).at(2).as(60).reply(1, ok).
		at(3).stands(loopTID, 60, 0).at(4).as(10).in(1, 1, get("/b")).at(5).stands(loopTID, 60, 0).at(6).as(60).reply(1, ok)
	tr := newTracker(&facts{}, false)
	tr.Turn(Apart, 0)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	for at, want := range map[float64]string{1.5: "GET /a", 1.7: NotLinked, 1.8: InEventLoop, 1.9: NotLinked, 3: NotLinked, 5: "GET /b"} {
		if got := tr.EndpointAt(apiPID, loopTID, ms(at)); got != want {
			t.Errorf("%g ms: it is of %q, want %q", at, got, want)
		}
	}
}

// Where events were lost after a request was answered, its context may be another's.
func TestStackInAGap(t *testing.T) {
	p := read().enter(30).at(2).reply(1, ok).at(8).sampled(0)
	tr := newTracker(&facts{}, false)
	for i := range p.events {
		if p.events[i].Type == event.Sample {
			tr.Lost(ms(3), ms(5))
		}
		tr.Feed(&p.events[i])
	}
	if got := tr.EndpointAt(apiPID, loopTID, ms(8)); got != NotLinked {
		t.Errorf("it is of %q", got)
	}
}

// A stack is that of the newest label of its thread. Without one nothing is known, and that counts.
func TestStacksAskByTime(t *testing.T) {
	p := read().enter(30).at(2).sampled(0).stands(400, 0, event.NoThread).on(loopTID).at(2.5).as(ownContext).loop().at(2.6).as(ownContext).sampled(event.Base)
	tr := newTracker(&facts{}, false)
	for i := range p.events {
		tr.Feed(&p.events[i])
	}
	for _, tt := range []struct {
		tid  uint32
		at   int64
		want string
	}{
		{loopTID, ms(2), "GET /a"},
		{loopTID, ms(2.59), "GET /a"},
		{loopTID, ms(2.6), InEventLoop},
		{400, ms(2.6), OtherThread},
		{loopTID, ms(1.9), ""},
		{loopTID, ms(3.7), ""},
		{500, ms(2), ""},
	} {
		if got := tr.EndpointAt(apiPID, tt.tid, tt.at); got != tt.want {
			t.Errorf("thread %d at %d: %q, want %q", tt.tid, tt.at, got, tt.want)
		}
	}
	if n := loss(tr, "stack whose context was not told"); n != 3 {
		t.Errorf("%d stacks are counted as without a label, want 3", n)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	var s labels
	for i := range int64(3 * maxLabels) {
		s.add(label{at: i * 1000, pid: 1, tid: 1})
	}
	if len(s.kept)-s.head > maxLabels || cap(s.kept) > 4*maxLabels {
		t.Errorf("%d labels are kept in room for %d", len(s.kept)-s.head, cap(s.kept))
	}
	last := int64(3*maxLabels-1) * 1000
	s.add(label{at: last - 500, pid: 1, tid: 2}) // came late
	if l := s.before(1, 2, last); l == nil || l.at != last-500 {
		t.Errorf("the late one is not found: %+v", l)
	}
	s.add(label{at: last + keepLabel + 1, pid: 1, tid: 1})
	if n := len(s.kept) - s.head; n != 1 {
		t.Errorf("%d labels are kept after ten seconds", n)
	}
}

// A stack that is taken in each event's place changes no fact, and is of the request that a call is of which the same context
// makes then.
func TestStacksChangeNothing(t *testing.T) {
	for name, with := range traits {
		t.Run(name, func(t *testing.T) {
			calls, other := 0, 0
			for seed := range uint64(max(1, *long/10)) {
				s := simulate.New(seed, with)
				var events []event.Event
				for _, e := range s.Events {
					events = append(events, e, event.Event{
						Type: event.Sample, Time: e.Time, PID: e.PID, TID: e.TID, Context: e.Context, Flags: e.Flags & (event.Stale | event.NoThread),
					})
				}
				plain, _ := follow(s, s.Events)
				sampled := &facts{}
				tr := newTracker(sampled, s.Late)
				labels := map[int64]string{}
				for i := range events {
					tr.Feed(&events[i])
					if e := &events[i]; e.Type == event.Sample && events[i-1].Type == event.Send && !events[i-1].Has(event.Inbound) {
						labels[e.Time] = tr.EndpointAt(e.PID, e.TID, e.Time)
					}
				}
				if a, b := summary(plain), summary(sampled); a != b {
					t.Fatalf("seed %d: with stacks\n%s\nwithout\n%s", seed, b, a)
				}
				for _, r := range sampled.requests {
					for _, k := range r.Calls {
						if label, known := labels[k.Sent]; known && k.Basis == "context" && k.Stream == 0 {
							if calls++; label != r.Endpoint {
								other++
							}
						}
					}
				}
			}
			t.Logf("%d stacks of contexts that call, %d of another request", calls, other)
			if calls == 0 || other > 0 {
				t.Errorf("of %d stacks of contexts that call, %d are not of the request that the call is of", calls, other)
			}
		})
	}
}
