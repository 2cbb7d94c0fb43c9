package collect

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/ragscope/ragscope/internal/request"
)

// TestAbsorb holds slices of a stretch, taken in, to the same requests told one by one.
func TestAbsorb(t *testing.T) {
	whole, long := New(int64(0.3*sec), nil), New(int64(0.3*sec), nil)
	slice := New(int64(0.3*sec), nil)
	for i := range 40 {
		at := 0.4 + 0.1*float64(i)
		if i%7 == 0 {
			long.Absorb(slice)
			slice = New(int64((at-0.05)*sec), nil)
		}
		r := answered([]string{"GET /a", "GET /b"}[i%2], at)
		if i%5 == 0 {
			r.Status, r.Followed = 500, false
			r.Reasons = []request.Reason{{Why: request.Timer, NS: sec / 100}}
			r.Calls[0].LLM = &request.LLM{Operation: "chat", Model: "m", Tokens: []int64{r.Last - 3, r.Last - 1}, OutputTokens: 2, FromProtocol: i%2 == 0}
		}
		orphan := &request.Call{LastRead: r.Last, Endpoint: []string{"", "GET /a"}[i%2], Operation: "SET", Sent: r.Start, LastArrived: r.Last, FirstArrived: r.Last}
		for _, c := range []*Collector{whole, slice} {
			c.Request(r)
			c.Call(orphan)
			c.Lag(request.Lag{Time: r.Last, Late: sec / 50, N: 2})
			c.Block(request.Block{Endpoint: r.Endpoint, Start: r.Start, End: r.Last}, "f")
		}
	}
	long.Absorb(slice)
	if long.Requests() != 40 || long.Orphans() != whole.Orphans() || len(fill(long, 5).Timeline) != 5 {
		t.Errorf("%d requests, %d orphans, %d seconds", long.Requests(), long.Orphans(), len(fill(long, 5).Timeline))
	}
	if where := differs(plain(t, long), plain(t, whole)); where != "" {
		t.Errorf("absorbed and told one by one differ in %s", where)
	}
}

// plain is the recording as its file says it.
func plain(t *testing.T, c *Collector) (v any) {
	t.Helper()
	b, err := json.Marshal(fill(c, 5))
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// differs says where, but for the order in which numbers were added up.
func differs(a, b any) string {
	switch a := a.(type) {
	case map[string]any:
		b, _ := b.(map[string]any)
		for k := range a {
			if where := differs(a[k], b[k]); where != "" {
				return "." + k + where
			}
		}
	case []any:
		b, _ := b.([]any)
		if len(a) != len(b) {
			return fmt.Sprintf(": %d and %d elements", len(a), len(b))
		}
		for i := range a {
			if where := differs(a[i], b[i]); where != "" {
				return fmt.Sprintf("[%d]%s", i, where)
			}
		}
	case float64:
		if b, ok := b.(float64); !ok || !near(a, b) {
			return fmt.Sprintf(": %v and %v", a, b)
		}
	default:
		if a != b {
			return fmt.Sprintf(": %v and %v", a, b)
		}
	}
	return ""
}
