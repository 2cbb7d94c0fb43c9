package h1

import (
	"crypto/tls"
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is the way past net.Conn for connections without TLS. net.Conn.Read tries to read
// before it waits, which right after a request is a system call for nothing. Here the request
// is written when the runtime's poller is already listening (inside of RawConn.Read), so that
// waiting can follow at once and no arrival is missed.
type socket struct {
	raw   syscall.RawConn // nil: not a socket
	plain bool            // no TLS on it
	step  func(fd uintptr) bool
	peek  func(fd uintptr) bool
	n     int
	err   error
	dead  bool
}

func (s *socket) open(c *Conn) {
	conn := c.conn
	t, secure := conn.(*tls.Conn)
	if secure {
		conn = t.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	s.raw, s.plain = raw, !secure
	s.step = func(fd uintptr) bool { return s.ready(c, int(fd)) } // made once: a closure for each request would be garbage
	s.peek = func(fd uintptr) bool { s.dead = closed(int(fd)); return true }
}

// bare says whether exchange may be used.
func (s *socket) bare() bool { return s.plain }

// exchange writes the request and reads the first bytes of its answer. It returns nothing at
// all when the request does not fit into the socket's buffer: c.out is what is left.
func (s *socket) exchange(c *Conn) (int, error) {
	s.n, s.err = 0, nil
	if err := s.raw.Read(s.step); err != nil {
		return 0, err
	}
	return s.n, s.err
}

// ready is called with the poller armed, first at once and then whenever the socket may be read.
func (s *socket) ready(c *Conn, fd int) bool {
	if len(c.out) > 0 {
		n, err := call(unix.SYS_SENDTO, fd, c.out)
		if n > 0 {
			c.Wrote += int64(n)
			c.out = c.out[n:]
		}
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			return true // net.Conn writes the rest
		case err != 0:
			c.out = nil
			s.n, s.err = c.lastBytes(fd, os.NewSyscallError("write", err))
			return true
		}
		return len(c.out) > 0
	}
	for {
		n, err := call(unix.SYS_RECVFROM, fd, c.buf[c.w:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != 0:
			s.err = os.NewSyscallError("read", err)
		case n == 0:
			s.err = io.EOF
		}
		s.n = n
		return true
	}
}

// call sends or receives. These calls do less in the kernel than write and read, which serve
// files too; and Go's scheduler is not told, which would look for other work for the thread
// meanwhile: with MSG_DONTWAIT there is no meanwhile.
func call(trap uintptr, fd int, p []byte) (int, syscall.Errno) {
	n, _, err := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}

// lastBytes reads what a server said that does not want to read any more.
func (c *Conn) lastBytes(fd int, failed error) (int, error) {
	if n, err := unix.Read(fd, c.buf[c.w:]); err == nil && n > 0 {
		return n, nil
	}
	return 0, failed
}

// stale says whether the connection has an end, or bytes, although nothing was asked.
func (s *socket) stale() bool {
	if s.raw == nil {
		return false
	}
	s.dead = true
	if err := s.raw.Control(func(fd uintptr) { s.peek(fd) }); err != nil {
		return true
	}
	return s.dead
}

func closed(fd int) bool {
	var b [1]byte
	for {
		_, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err != unix.EAGAIN
		}
	}
}
