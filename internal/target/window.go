package target

import "io"

const (
	// blockSize is what is read of a file at once, and keptBlocks how many of these are kept: 4 MB of an executable
	// that may have 100 (Node), of which little is looked at.
	blockSize  = 256 << 10
	keptBlocks = 16
)

// window shows a file without holding all of it. A mapping would, too, but to look behind the end of one whose file is
// cut short meanwhile is fatal.
type window struct {
	source io.ReaderAt
	recent []block // the last used first
}

type block struct {
	number uint64
	bytes  []byte
}

// at returns up to n bytes at offset; fewer, or none, at the end of the file. They are to be read only.
func (w *window) at(offset uint64, n int) []byte {
	b := w.block(offset / blockSize)
	from := offset % blockSize
	if from >= uint64(len(b)) {
		return nil
	}
	b = b[from:]
	if n <= len(b) {
		return b[:n:n]
	}
	if from+uint64(len(b)) < blockSize { // the file ends here
		return b
	}
	return append(b[:len(b):len(b)], w.at(offset+uint64(len(b)), n-len(b))...)
}

func (w *window) block(number uint64) []byte {
	for i, b := range w.recent {
		if b.number == number {
			copy(w.recent[1:i+1], w.recent[:i])
			w.recent[0] = b
			return b.bytes
		}
	}
	bytes := make([]byte, blockSize)
	n, _ := w.source.ReadAt(bytes, int64(number*blockSize))
	if len(w.recent) < keptBlocks {
		w.recent = append(w.recent, block{})
	}
	copy(w.recent[1:], w.recent)
	w.recent[0] = block{number, bytes[:n]}
	return bytes[:n]
}

// scan hands out size bytes from offset on, a block at a time, each with the first overlap bytes of the next, so that
// what is no longer is whole in one of them. The bytes are valid only during the call; each ends the scan by false.
func (w *window) scan(offset, size uint64, overlap int, each func(at uint64, bytes []byte) bool) {
	buffer := make([]byte, min(size, uint64(blockSize+overlap)))
	for at := uint64(0); at < size; at += blockSize {
		part := buffer[:min(uint64(len(buffer)), size-at)]
		n, _ := w.source.ReadAt(part, int64(offset+at))
		if n == 0 || !each(at, part[:n]) {
			return
		}
	}
}
