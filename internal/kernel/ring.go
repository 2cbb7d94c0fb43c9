package kernel

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring reads a BPF ring buffer (kernel/bpf/ringbuf.c). It is asked and never waits. The usual reader maps the data twice
// in a row, so that no record is cut by the end; here, where that would be 8 MB more of the agent's resident memory, it
// is mapped once, and such a record is put together.
type ring struct {
	mu       sync.Mutex
	consumer []byte // a page of ours: the position up to which was read
	producer []byte // the kernel's page, and its data
	data     []byte // within producer
	record   []byte // the last one, copied
}

// Of the header of a record, as in linux/bpf.h: BPF_RINGBUF_*.
const (
	recordHeader  = 8
	recordBusy    = 1 << 31
	recordDiscard = 1 << 30
)

func openRing(m *ebpf.Map) (*ring, error) {
	if m.Type() != ebpf.RingBuf {
		return nil, fmt.Errorf("%s is no ring buffer", m)
	}
	page, size := os.Getpagesize(), int(m.MaxEntries())
	r := &ring{}
	var err error
	if r.consumer, err = unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map the reader's page: %w", err)
	}
	if r.producer, err = unix.Mmap(m.FD(), int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, errors.Join(fmt.Errorf("map the data: %w", err), unix.Munmap(r.consumer))
	}
	r.data = r.producer[page:]
	return r, nil
}

// next returns the next record, which is valid until the call after; nil where there is none, or one that is still
// being written.
func (r *ring) next() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.data == nil {
		return nil // closed
	}
	at := (*uint64)(unsafe.Pointer(&r.consumer[0])) // nobody else writes to it
	for read := *at; read < atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.producer[0]))); read = *at {
		// Records begin at multiples of 8, as the data ends: a header is never cut.
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[read%uint64(len(r.data))])))
		if header&recordBusy != 0 {
			return nil
		}
		length := uint64(header &^ (recordBusy | recordDiscard))
		if header&recordDiscard == 0 {
			r.copy(read+recordHeader, length)
		}
		atomic.StoreUint64(at, read+recordHeader+(length+7)&^7)
		if header&recordDiscard == 0 {
			return r.record
		}
	}
	return nil
}

func (r *ring) copy(from, length uint64) {
	begin := from % uint64(len(r.data))
	whole := min(length, uint64(len(r.data))-begin)
	r.record = append(append(r.record[:0], r.data[begin:begin+whole]...), r.data[:length-whole]...)
}

// close may be called twice, and while another goroutine reads.
func (r *ring) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.data == nil {
		return nil
	}
	err := errors.Join(unix.Munmap(r.consumer), unix.Munmap(r.producer))
	r.consumer, r.producer, r.data = nil, nil, nil
	return err
}
