package load_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCostServer is not a test: it is a server that never sleeps, for TestCost, until it is ended. A client that
// leaves its server idle more often than another one wakes it more often, and in a virtual machine waking
// another core costs as much as a request; here nobody pays for that. It answers /status as nginx's stub_status.
func TestCostServer(t *testing.T) {
	address := os.Getenv("COST_SERVER")
	if address == "" {
		t.Skip("the server of a bench")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	ep, err := unix.EpollCreate1(0)
	if err != nil {
		t.Fatal(err)
	}
	listener := int(file.Fd())
	if err := unix.SetNonblock(listener, true); err != nil {
		t.Fatal(err)
	}
	watch := func(fd int) error {
		return unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	if err := watch(listener); err != nil {
		t.Fatal(err)
	}
	poll(ep, listener, watch)
}

// poll answers requests without a body, forever.
func poll(ep, listener int, watch func(fd int) error) {
	events, buf := make([]unix.EpollEvent, 128), make([]byte, 16<<10)
	const head = "HTTP/1.1 200 OK\r\nServer: poll\r\nDate: Thu, 26 Nov 2026 06:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n%s"
	body := `{"status":"healthy","version":"1.0.0"}`
	answer := fmt.Appendf(nil, head, len(body), body)
	served := 0
	for {
		n, _ := unix.EpollWait(ep, events, 0)
		for _, e := range events[:max(n, 0)] {
			fd := int(e.Fd)
			if fd == listener {
				if conn, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK); err == nil {
					_ = unix.SetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
					_ = watch(conn)
				}
				continue
			}
			got, err := unix.Read(fd, buf)
			if err != nil || got == 0 {
				unix.Close(fd)
				continue
			}
			served += bytes.Count(buf[:got], []byte("\r\n\r\n"))
			if bytes.HasPrefix(buf[:got], []byte("GET /status")) {
				text := fmt.Sprintf("Active connections: 1 server accepts handled requests 1 1 %d", served)
				_, _ = unix.Write(fd, fmt.Appendf(nil, head, len(text), text))
				continue
			}
			_, _ = unix.Write(fd, answer)
		}
	}
}
