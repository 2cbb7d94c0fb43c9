package stack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/ragscope/ragscope/bpf"
)

// NotUnwound is the only frame of bytes whose stack did not come out of the kernel, so that the sum of a
// profile stays what was counted.
const NotUnwound = "[not unwound]"

// takings are the bytes of stacks whose unwinding began, until the stacks come: the unwinder's own
// record has no room for them. Not for concurrent use.
type takings struct {
	kind   Kind // of the stacks
	ring   *ringbuf.Reader
	record ringbuf.Record
	begun  map[uint32][]bpf.FaultTaken // by thread, oldest first
}

func newTakings(kind Kind, ring *ebpf.Map) (*takings, error) {
	r, err := ringbuf.NewReader(ring)
	if err != nil {
		return nil, fmt.Errorf("read the bytes of stacks: %w", err)
	}
	return &takings{kind: kind, ring: r, begun: map[uint32][]bpf.FaultTaken{}}, nil
}

// read takes what the kernel wrote. The record of a stack is there before its unwinding begins.
func (t *takings) read() error {
	return readTaken(t.ring, &t.record, func(x bpf.FaultTaken) { t.begun[x.Tid] = append(t.begun[x.Tid], x) })
}

// readTaken hands what is in a ring to each.
func readTaken(ring *ringbuf.Reader, record *ringbuf.Record, each func(bpf.FaultTaken)) error {
	for ring.AvailableBytes() > 0 {
		ring.SetDeadline(time.Now())
		switch err := ring.ReadInto(record); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			return err
		}
		var x bpf.FaultTaken
		if _, err := binary.Decode(record.RawSample, binary.NativeEndian, &x); err != nil {
			return fmt.Errorf("the bytes of a stack: %w", err)
		}
		each(x)
	}
	return nil
}

// of is what the stack of a thread whose unwinding began right before an instant stands for. Those of the same thread before it
// never came: they are handed to lost.
func (t *takings) of(tid uint32, at int64, lost func(bpf.FaultTaken)) (bytes int64) {
	begun := t.begun[tid]
	n := 0
	for n < len(begun) && int64(begun[n].Time) <= at {
		n++
	}
	if n == 0 {
		return 0
	}
	for _, x := range begun[:n-1] {
		lost(x)
	}
	t.keep(tid, begun[n:])
	return int64(begun[n-1].Bytes)
}

// old hands what began before an instant, and has no stack, to lost.
func (t *takings) old(before int64, lost func(bpf.FaultTaken)) {
	for tid, begun := range t.begun {
		n := 0
		for n < len(begun) && int64(begun[n].Time) < before {
			lost(begun[n])
			n++
		}
		t.keep(tid, begun[n:])
	}
}

func (t *takings) keep(tid uint32, begun []bpf.FaultTaken) {
	if len(begun) == 0 {
		delete(t.begun, tid)
	} else {
		t.begun[tid] = begun
	}
}

func (t *takings) close() error { return t.ring.Close() }
