package census

import (
	"encoding/binary"
	"fmt"
	"os"
)

const (
	pageSize  = 4096
	pagesKept = 2048 // 8 MiB: what is close in memory is read together
)

// reader reads the memory of a process through a cache of pages, each of which is read once in a
// count: what belongs together is mostly read at the same time.
type reader struct {
	mem   *os.File
	pages map[uint64][]byte
	err   error // the first
}

func openReader(pid int) (*reader, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	return &reader{mem: f, pages: map[uint64][]byte{}}, nil
}

func (r *reader) close() { _ = r.mem.Close() } // nothing was written

// at returns n bytes, nil where they cannot be read. They are valid until the next call.
func (r *reader) at(address uint64, n int) []byte {
	if offset := address % pageSize; offset+uint64(n) <= pageSize {
		if page := r.page(address / pageSize); page != nil {
			return page[offset : offset+uint64(n)]
		}
		return nil
	}
	out := make([]byte, 0, n)
	for n > 0 {
		part := min(n, int(pageSize-address%pageSize))
		b := r.at(address, part)
		if b == nil {
			return nil
		}
		out, address, n = append(out, b...), address+uint64(part), n-part
	}
	return out
}

func (r *reader) page(number uint64) []byte {
	if page, ok := r.pages[number]; ok {
		return page
	}
	if number >= 1<<47/pageSize {
		return nil
	}
	if len(r.pages) >= pagesKept {
		clear(r.pages)
	}
	page := make([]byte, pageSize)
	if _, err := r.mem.ReadAt(page, int64(number*pageSize)); err != nil {
		if r.err == nil {
			r.err = err
		}
		page = nil
	}
	r.pages[number] = page
	return page
}

// word is 0 where it cannot be read.
func (r *reader) word(address uint64) uint64 {
	b := r.at(address, 8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// text is the C string at an address, of at most n bytes.
func (r *reader) text(address uint64, n int) string {
	for ; n > 0; n /= 2 { // less, where the next page cannot be read
		if b := r.at(address, n); b != nil {
			for i, c := range b {
				if c == 0 {
					return string(b[:i])
				}
			}
			return string(b)
		}
	}
	return ""
}
