package target

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Paths without number (RAGSCOPE_LONG=1: a million) make 200 routes and one for the rest, and one more path costs next to nothing.
func TestManyPaths(t *testing.T) {
	r := LearnRouter()
	paths := 200_000
	if os.Getenv("RAGSCOPE_LONG") != "" {
		paths = 1_000_000
	}
	endpoints := map[string]bool{}
	for i := range paths {
		endpoints[r.Endpoint("GET", fmt.Sprintf("/page-%d-x", i))] = true
	}
	if len(endpoints) != MaxRoutes+1 || !endpoints["GET "+Other] || len(r.Routes()) != MaxRoutes {
		t.Errorf("%d endpoints, %d routes", len(endpoints), len(r.Routes()))
	}
	if n := len(r.learned) + len(r.other.endpoints); n > MaxRoutes+1 {
		t.Errorf("%d templates are kept", n)
	}
	for _, path := range []string{"/one/more", "/" + strings.Repeat("a", 4000), strings.Repeat("/a", 2000), "/a/b/c/d/e/f/g/h/i/j/k/l"} {
		if n := testing.AllocsPerRun(10, func() { r.Endpoint("GET", path) }); n > 4 {
			t.Errorf("%.20s…: %g allocations", path, n)
		}
	}
}
