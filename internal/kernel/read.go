package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/ragscope/ragscope/internal/kernel/event"
)

// PollEvery is how often the ring buffer is emptied: nothing wakes us for single events.
const PollEvery = 10 * time.Millisecond

// Read hands every event to fn until ctx ends, in the order of the ring buffer, and calls
// idle whenever the buffer is empty. The event and its bytes are valid only during the call.
// raw is the undecoded record, for recorded streams.
func (k *Kernel) Read(ctx context.Context, fn func(e *event.Event, raw []byte), idle func()) error {
	var rec ringbuf.Record
	var e event.Event
	stop := context.AfterFunc(ctx, func() { k.reader.SetDeadline(time.Now()) })
	defer stop()
	for {
		k.reader.SetDeadline(time.Now().Add(PollEvery))
		for {
			err := k.reader.ReadInto(&rec)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if errors.Is(err, ringbuf.ErrClosed) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read ring buffer: %w", err)
			}
			if err := event.Decode(rec.RawSample, &e); err != nil {
				k.mu.Lock()
				k.undecoded++
				k.mu.Unlock()
				continue
			}
			fn(&e, rec.RawSample)
		}
		idle()
		if ctx.Err() != nil {
			return nil
		}
	}
}
