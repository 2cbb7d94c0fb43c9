package flame

import (
	"fmt"

	"github.com/ragscope/ragscope/internal/stack"
)

func kindTitle(k stack.Kind) string {
	switch k {
	case stack.OffCPU:
		return "Time off the CPU by endpoint"
	case stack.Alloc:
		return "New memory by endpoint"
	case stack.Malloc:
		return "Allocations by endpoint"
	default:
		return "CPU time by endpoint"
	}
}

type unit struct {
	size float64
	name string
}

var (
	timeUnits  = []unit{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}}
	bytesUnits = []unit{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}}
)

// quantity is a value of a kind with its unit, three digits long: "4.12 s", "318 MiB".
func quantity(k stack.Kind, value int64) string {
	units := timeUnits
	if k == stack.Alloc || k == stack.Malloc {
		units = bytesUnits
	}
	u := units[len(units)-1]
	for _, candidate := range units {
		if float64(value) >= candidate.size {
			u = candidate
			break
		}
	}
	v := float64(value) / u.size
	decimals := 0
	if u.size > 1 && v < 10 {
		decimals = 2
	} else if u.size > 1 && v < 100 {
		decimals = 1
	}
	return fmt.Sprintf("%.*f %s", decimals, v, u.name)
}
