package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/load"
)

func TestProgressLine(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out}
	for second := 1; second <= 6; second++ {
		for range 10 {
			p.Add([]load.Sample{{End: 40 * time.Millisecond}})
		}
		p.Add([]load.Sample{{End: time.Second, Failure: load.Failure{Kind: load.Timeout}}, {End: time.Millisecond, Failure: load.Failure{Kind: load.HTTPStatus, Status: 429}}})
		p.Tick(load.Progress{Elapsed: time.Duration(second) * time.Second, Total: time.Minute, Users: 3, Last: second == 6})
	}
	want := "0:05/1:00  3 users  12.0 req/s  p50 40 ms  p95 1000 ms  60 requests  5 failures  5 limited (429)\n" +
		"0:06  done: 72 requests  6 failures  6 limited (429)  0 missed\n"
	if got := out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestLiveLineRewritesItself(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, live: true}
	p.Tick(load.Progress{Elapsed: time.Second})
	p.Tick(load.Progress{Elapsed: 2 * time.Second, Last: true})
	if got := out.String(); strings.Count(got, "\r\x1b[K") != 2 || strings.Count(got, "\n") != 1 {
		t.Errorf("printed %q", got)
	}
}
