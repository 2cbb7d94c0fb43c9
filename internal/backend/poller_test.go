package backend

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/request"
)

func TestPollKeepsItsDistance(t *testing.T) {
	var asked atomic.Int64
	now := time.Unix(1000, 0)
	p := NewPoller(Credentials{})
	p.now = func() time.Time { return now }
	p.askers = map[string]asker{"redis": func(context.Context, string) (figures, error) {
		return figures{values: map[string]float64{"n": float64(asked.Add(1))}}, nil
	}}
	peers := []request.Peer{{System: "redis", Address: "b"}, {System: "redis", Address: "b"}, {System: "http", Address: "c"}}
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{{0, 1}, {time.Second, 1}, {3900 * time.Millisecond, 1}, {200 * time.Millisecond, 2}} {
		now = now.Add(c.after)
		got := p.Poll(t.Context(), peers)
		if len(got) != 1 || got[0].Values["n"] != c.want {
			t.Errorf("%v later: %+v, want one backend with n = %v", c.after, got, c.want)
		}
		got[0].Values["n"] = -1 // the caller's own copy
	}
	if got := p.Poll(t.Context(), nil); len(got) != 0 || len(p.last) != 0 {
		t.Errorf("no peers: %+v, remembered %d", got, len(p.last))
	}
}

func TestPollSaysWhatFailed(t *testing.T) {
	p := NewPoller(Credentials{})
	p.askers = map[string]asker{
		"redis":  func(context.Context, string) (figures, error) { return figures{}, errors.New("refused") },
		"ollama": func(ctx context.Context, _ string) (figures, error) { <-ctx.Done(); return figures{}, ctx.Err() },
	}
	got := p.Poll(t.Context(), []request.Peer{{System: "redis", Address: "a"}, {System: "ollama", Address: "a"}})
	want := []recording.Backend{{Peer: "ollama", Address: "a", Error: context.DeadlineExceeded.Error()}, {Peer: "redis", Address: "a", Error: "refused"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPollIsBounded(t *testing.T) {
	p := NewPoller(Credentials{})
	p.askers = map[string]asker{"redis": func(context.Context, string) (figures, error) { return figures{}, nil }}
	var peers []request.Peer
	for i := range 1000 {
		peers = append(peers, request.Peer{System: "redis", Address: fmt.Sprint(i)})
	}
	if got := len(p.Poll(t.Context(), peers)); got != maxPeers {
		t.Errorf("%d backends, want %d", got, maxPeers)
	}
}

func TestRates(t *testing.T) {
	at := func(hits, used float64) recording.Backend {
		return recording.Backend{Peer: "redis", Address: "a", Values: map[string]float64{"keyspace_hits": hits, "used_memory": used}}
	}
	for _, c := range []struct {
		name       string
		start, end []recording.Backend
		seconds    float64
		want       map[string]float64
	}{
		{"counter", []recording.Backend{at(100, 5)}, []recording.Backend{at(160, 9)}, 30, map[string]float64{"keyspace_hits": 2}},
		{"restarted", []recording.Backend{at(100, 5)}, []recording.Backend{at(10, 9)}, 30, nil},
		{"new", nil, []recording.Backend{at(10, 9)}, 30, nil},
		{"no time", []recording.Backend{at(1, 5)}, []recording.Backend{at(10, 9)}, 0, nil},
		{"gone", []recording.Backend{at(1, 5)}, []recording.Backend{{Peer: "redis", Address: "a", Error: "refused"}}, 30, nil},
	} {
		if got := Rates(c.start, c.end, c.seconds); !reflect.DeepEqual(got[0].Rates, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got[0].Rates, c.want)
		}
	}
}
