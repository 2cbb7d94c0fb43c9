//go:build !linux

package h1

// socket is the way past net.Conn, which is there on Linux alone.
type socket struct{}

func (*socket) open(*Conn) {}

func (*socket) bare() bool { return false }

func (*socket) exchange(*Conn) (int, error) { return 0, nil }

func (*socket) stale() bool { return false }
