package load

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"

	"github.com/ragscope/ragscope/internal/load/h1"
)

// bodyReader is the body of an answer, without its framing.
type bodyReader struct {
	conn  *h1.Conn
	frame h1.Body
	rest  []byte // content that came and was not read
}

func (b *bodyReader) open(c *h1.Conn, frame h1.Body) { b.conn, b.frame, b.rest = c, frame, nil }

// next returns content, at least one byte of it, or io.EOF at the end of the body. It is lent
// until the next call.
func (b *bodyReader) next() ([]byte, error) {
	for {
		data, n, err := b.frame.Next(b.conn.Buffered())
		b.conn.Discard(n)
		switch {
		case err != nil || len(data) > 0:
			return data, err
		case b.frame.Complete():
			return nil, io.EOF
		}
		if err := b.conn.Fill(); err != nil {
			if !errors.Is(err, io.EOF) || b.frame.UntilEnd() {
				return nil, err
			}
			return nil, io.ErrUnexpectedEOF
		}
	}
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		var err error
		if b.rest, err = b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// discard reads the body to its end and adds its length to count.
func (b *bodyReader) discard(count *int64) error {
	*count += int64(len(b.rest))
	b.rest = nil
	for !b.frame.Complete() {
		data, err := b.next()
		*count += int64(len(data))
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// maxDecoded bounds what a compressed body may become, in bytes: a gzip bomb of a megabyte
// would else keep the loader busy for seconds.
const maxDecoded = 256 << 20

// decoder decompresses bodies. Its buffers are kept.
type decoder struct {
	in     *bufio.Reader
	gzip   *gzip.Reader
	copied []byte
	plain  io.Reader // the current content
	left   int64
}

// buffer is room for one piece of content.
func (d *decoder) buffer() []byte {
	if d.copied == nil {
		d.copied = make([]byte, 16<<10)
	}
	return d.copied
}

// open returns the content of a body. What is compressed in a way that was not asked for is
// passed on as it is, which is what Locust does.
func (d *decoder) open(b *bodyReader, e h1.Encoding) (io.Reader, error) {
	if e != h1.Gzip && e != h1.Deflate {
		return b, nil
	}
	if d.in == nil {
		d.in = bufio.NewReaderSize(nil, 4<<10)
	}
	d.in.Reset(b)
	d.left = maxDecoded
	first, err := d.in.Peek(1)
	if errors.Is(err, io.EOF) { // 200 with content-encoding and an empty body: accepted by everybody
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case e == h1.Gzip && d.gzip != nil:
		err = d.gzip.Reset(d.in)
		d.plain = d.gzip
	case e == h1.Gzip:
		d.gzip, err = gzip.NewReader(d.in)
		d.plain = d.gzip
	case first[0]&0x0f == 8: // zlib, as RFC 9110 §8.4.1.2 demands
		d.plain, err = zlib.NewReader(d.in)
	default: // and as many servers send it
		d.plain = flate.NewReader(d.in)
	}
	return d, coding(err)
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.plain.Read(p)
	if d.left -= int64(n); d.left < 0 {
		return n, &codingError{errBomb}
	}
	return n, coding(err)
}

// coding marks errors of decompression.
func coding(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrChecksum), errors.As(err, &corrupt):
		return &codingError{errors.New("the answer does not decompress: " + err.Error())}
	}
	return err
}
