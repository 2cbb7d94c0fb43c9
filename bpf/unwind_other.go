//go:build !386 && !amd64

package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// LoadUnwind: rules of other machines are applied by the unwinder itself only.
func LoadUnwind() (*ebpf.CollectionSpec, error) {
	return nil, fmt.Errorf("frames are remembered on amd64 only: %w", ebpf.ErrNotSupported)
}
