package truth

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

func sockaddr(address string) (unix.Sockaddr, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if !a.Addr().Is4() {
		return nil, fmt.Errorf("%s is not an IPv4 address", address)
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
}
