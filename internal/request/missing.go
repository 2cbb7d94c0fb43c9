package request

import "slices"

// What the gRPC side does where frames are missing: in a gap of lost events, or in a transfer that
// the kernel side did not walk to its end. Header tables have moved by entries that nobody saw, a
// stream's end may be among what is missing, and so may be the stream of a call that waits for one.

// missFrames gives up what a connection's frames would have said. Later frames of its streams
// belong to nobody.
func (t *Tracker) missFrames(c *outbound, at int64, why string) {
	c.channel.request.Miss()
	c.channel.response.Miss()
	t.giveUpStreams(c, sorted(c.channel.streams), at, why)
}

func (t *Tracker) giveUpStreams(c *outbound, ids []uint32, at int64, why string) {
	for _, id := range ids {
		s := c.channel.streams[id]
		delete(c.channel.streams, id)
		t.lose("grpc", why)
		if s.x == nil {
			continue
		}
		if stub := t.grpc[c.pid]; stub != nil {
			stub.open = max(0, stub.open-1)
		}
		t.unanswered(s.x, "answer not seen")
		t.connection(c, at, Free, s.x.live)
	}
}

// dropOldest makes room for new streams where ends were not told.
func (t *Tracker) dropOldest(c *outbound, at int64) {
	ids := sorted(c.channel.streams)
	t.giveUpStreams(c, ids[:len(ids)/2], at, "more than 4,096 streams on a connection")
}

// stubAt is the stub of a process; calls that wait for a stream are forgotten where it may be
// among lost events: else each would be taken for a later one's.
func (t *Tracker) stubAt(pid uint32, at int64) *stub {
	s := t.stub(pid)
	if s.checked != 0 && t.gaps.within(s.checked, at) {
		if n := len(s.started); n > 0 {
			t.loseN("grpc", "call whose stream may be in a gap of lost events", uint64(n))
		}
		s.wishes, s.started = s.wishes[:0], slices.Delete(s.started, 0, len(s.started))
		s.unseen = at
	}
	s.checked = at
	return s
}
