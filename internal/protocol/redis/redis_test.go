package redis

import (
	"testing"

	"github.com/ragscope/ragscope/internal/protocol"
	"github.com/ragscope/ragscope/internal/protocol/resp"
	"github.com/ragscope/ragscope/internal/protocol/wiretest"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		c             resp.Command
		r             resp.Reply
		lookups, hits int
	}{
		{resp.Command{Name: "GET", Keys: 1}, resp.Reply{Kind: '$'}, 1, 1},
		{resp.Command{Name: "GET", Keys: 1}, resp.Reply{Kind: '$', Nil: true}, 1, 0},
		{resp.Command{Name: "GET", Keys: 1}, resp.Reply{Kind: '+'}, 0, 0}, // QUEUED
		{resp.Command{Name: "GET", Keys: 1}, resp.Reply{Kind: '-', Error: "WRONGTYPE"}, 0, 0},
		{resp.Command{Name: "GET", Keys: 1}, resp.Reply{Kind: '$', Guessed: true}, 0, 0},
		{resp.Command{Name: "MGET", Keys: 3}, resp.Reply{Kind: '*', Elements: 3, Nils: 2}, 3, 1},
		{resp.Command{Name: "MGET", Keys: 3}, resp.Reply{Kind: '*', Elements: 2}, 0, 0}, // another command's
		{resp.Command{Name: "EXISTS", Keys: 2}, resp.Reply{Kind: ':', Int: 1}, 2, 1},
		{resp.Command{Name: "HGETALL", Keys: 1}, resp.Reply{Kind: '%'}, 1, 0},
		{resp.Command{Name: "HGETALL", Keys: 1}, resp.Reply{Kind: '%', Elements: 8}, 1, 1},
		{resp.Command{Name: "SET"}, resp.Reply{Kind: '+'}, 0, 0},
	} {
		if l, h := Lookup(c.c, c.r); l != c.lookups || h != c.hits {
			t.Errorf("%+v %+v: %d look-ups, %d hits, want %d, %d", c.c, c.r, l, h, c.lookups, c.hits)
		}
	}
}

func TestOperation(t *testing.T) {
	get, multi, exec := resp.Command{Name: "GET"}, resp.Command{Name: "MULTI"}, resp.Command{Name: "EXEC"}
	for want, cs := range map[string][]resp.Command{"": nil, "GET": {get}, "pipeline": {get, get}, "transaction": {multi, get, exec}} {
		if got := Operation(cs); got != want {
			t.Errorf("%v: %s, want %s", cs, got, want)
		}
	}
}

// TestCapturedHitRate pairs each command of a captured RESP 2 connection with its reply.
func TestCapturedHitRate(t *testing.T) {
	cs, rs := resp.NewCommands(), resp.NewReplies()
	var open []resp.Command
	lookups, hits := 0, 0
	for _, r := range wiretest.Read(t, "redis.cap") {
		if r.Connection != 1 {
			continue
		}
		if r.FromClient {
			open = append(open, cs.Feed(protocol.Whole(r.Bytes))...)
			continue
		}
		for _, reply := range rs.Feed(protocol.Whole(r.Bytes)) {
			if len(open) == 0 {
				break // the published message
			}
			l, h := Lookup(open[0], reply)
			lookups, hits, open = lookups+l, hits+h, open[1:]
		}
	}
	// GET k, absent, big and five pipelined ones; MGET of 3; HGET a, zz; HMGET a, q; HGETALL; EXISTS of 2. The GET
	// inside MULTI is answered by EXEC, the HGET on a string with an error.
	if lookups != 8+3+2+2+1+2 || hits != 2+1+1+1+1+1 {
		t.Errorf("%d look-ups, %d hits", lookups, hits)
	}
}
