package load

import (
	"fmt"
	"strconv"
	"strings"
)

// Shard is the part of a run that this loader takes: Index of Of, from 1. Every loader computes the
// whole schedule and sends its share of it: of the users, and of the arrivals of the open model,
// every Of-th one. So with the same seed all of them together send exactly what one would, each
// user and each arrival once, whatever the stages. The zero Shard is the whole.
type Shard struct{ Index, Of int }

// ParseShard reads "2/3"; "" is the whole.
func ParseShard(s string) (Shard, error) {
	if s == "" {
		return Shard{}, nil
	}
	i, n, ok := strings.Cut(s, "/")
	index, err := strconv.Atoi(i)
	of, err2 := strconv.Atoi(n)
	if !ok || err != nil || err2 != nil || index < 1 || of < index {
		return Shard{}, fmt.Errorf("%q is not a share; write 1/3, 2/3 and 3/3 for three loaders", s)
	}
	return Shard{index, of}, nil
}

// String is "2/3", and "" for the whole.
func (s Shard) String() string {
	if s.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Of)
}

// takes says whether the n-th user or arrival, from 0, is the shard's.
func (s Shard) takes(n uint64) bool { return s.Of <= 1 || n%uint64(s.Of) == uint64(s.Index-1) }

// number is the number in the whole of the shard's n-th worker, both from 1.
func (s Shard) number(n int) int {
	if s.Of <= 1 {
		return n
	}
	return (n-1)*s.Of + s.Index
}
