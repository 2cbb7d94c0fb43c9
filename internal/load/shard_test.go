package load

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseShard(t *testing.T) {
	for text, want := range map[string]Shard{"": {}, "1/1": {1, 1}, "2/3": {2, 3}} {
		if got, err := ParseShard(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0/3", "4/3", "1", "a/b", "1/0", "-1/2"} {
		if got, err := ParseShard(text); err == nil {
			t.Errorf("%q reads as %v", text, got)
		}
	}
}

// arrivals keeps what was due in the first half second, by task and instant, and ends the run when that is
// over: however late the machine is, all of it was sent then.
type arrivals struct {
	due []string
	end context.CancelFunc
}

func (a *arrivals) Add(samples []Sample) {
	for _, s := range samples {
		if s.Intended > 500*time.Millisecond {
			a.end()
			continue
		}
		a.due = append(a.due, fmt.Sprint(s.Task, " ", s.Intended))
	}
}
func (a *arrivals) Tick(Progress) {}

// runShard runs one shard of a scenario to its end.
func runShard(t *testing.T, text, url string, shard Shard) []string {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	sink := &arrivals{end: end}
	if _, err := Run(ctx, Config{Scenario: parse(t, text), Host: url, Sinks: []Sink{sink}, StopTimeout: time.Minute, Seed: 5, Shard: shard}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(sink.due)
	return sink.due
}

// Three shards of an open run send together what the whole sends: the same arrivals, each once.
func TestShardsOfArrivals(t *testing.T) {
	srv := newServer(t, func(http.ResponseWriter, *http.Request) {})
	for _, arrival := range []string{"constant", "poisson"} {
		text := "rate: 100/s\narrival: " + arrival + "\ntasks:\n- {request: {path: /a}}\n- {request: {path: /b}}\n"
		whole := runShard(t, text, srv.URL, Shard{})
		var sum []string
		for i := 1; i <= 3; i++ {
			part := runShard(t, text, srv.URL, Shard{i, 3})
			if n := len(part); n < 10 || n > 23 {
				t.Errorf("%s: shard %d sends %d of %d", arrival, i, n, len(whole))
			}
			sum = append(sum, part...)
		}
		slices.Sort(sum)
		if diff := cmp.Diff(whole, sum); diff != "" {
			t.Errorf("%s (-whole +shards): %s", arrival, diff)
		}
	}
}

// Seven users in three shards: each user is on one of them, none is missing.
func TestShardsOfUsers(t *testing.T) {
	var mu sync.Mutex
	users := map[string]map[string]bool{} // by shard
	srv := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		shard, user, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		mu.Lock()
		defer mu.Unlock()
		if users[shard] == nil {
			users[shard] = map[string]bool{}
		}
		users[shard][user] = true
	})
	seen := map[string]int{}
	for i := 1; i <= 3; i++ {
		text := fmt.Sprintf("users: 7\nspawn_rate: 1000\nrun_time: 150ms\nthink_time: 10ms\ntasks: [{request: {path: '/%d/{{ user }}'}}]\n", i)
		runShard(t, text, srv.URL, Shard{i, 3})
		for u := range users[fmt.Sprint(i)] {
			seen[u]++
		}
	}
	if want := map[string]int{"1": 1, "2": 1, "3": 1, "4": 1, "5": 1, "6": 1, "7": 1}; !maps.Equal(seen, want) {
		t.Errorf("users ran on so many shards: %v", seen)
	}
}
