package metrics

import (
	"testing"

	"github.com/ragscope/ragscope/internal/request"
)

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(string) string
		in   string
		want string
	}{
		{"command", operationLabel, "hget", "HGET"},
		{"grpc", operationLabel, "/qdrant.Points/Query", "Points/Query"},
		{"grpc without package", operationLabel, "/Points/Query", "/Points/Query"},
		{"grpc, one part", operationLabel, "/x", "/x"},
		{"rest", operationLabel, "POST /collections/docs/points/query?x=1", "POST /collections/docs/points/query"},
		{"rest with id", operationLabel, "GET /points/5f0c2b1e-0000-4000-8000-00000000abcd", "GET /points/{id}"},
		{"route", templatePath, "/items/{item_id}", "/items/{item_id}"},
		{"route with number", templatePath, "/items/17/", "/items/{id}/"},
		{"word of hex letters", templatePath, "/feed", "/feed"},
		{"address in a path", templatePath, "/peers/10.0.0.1:80", "/peers/{id}"},
		{"system", systemLabel, "redis 127.0.0.1:6379", "redis"},
		{"unknown system", systemLabel, "10.1.1.1:80", other},
		{"no peer", systemLabel, "", ""},
		{"error", errorLabel, "NOAUTH Authentication required.", "NOAUTH"},
		{"no error", errorLabel, "", ""},
		{"http error", httpStatus, "503", "503"},
		{"grpc error", httpStatus, "UNAVAILABLE", ""},
		{"method", methodLabel, "BREW", "_OTHER"},
		{"traceparent", traceID, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"},
		{"trace id", traceID, "4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"},
		{"invalid trace id", traceID, "00000000000000000000000000000000", ""},
		{"request id", traceID, "req-17", ""},
	} {
		if got := c.f(c.in); got != c.want {
			t.Errorf("%s: %q → %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestPeerNamesHideAddresses(t *testing.T) {
	m := New()
	for _, c := range []struct{ system, address, want string }{
		{"redis", "10.0.0.1:6379", "redis"}, {"redis", "10.0.0.2:6379", "redis-2"}, {"redis", "10.0.0.1:6379", "redis"},
		{"qdrant", "10.0.0.1:6334", "qdrant"}, {"strange", "10.0.0.1:1", other},
	} {
		if got := m.PeerName(request.Peer{System: c.system, Address: c.address}); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.system, c.address, got, c.want)
		}
	}
}

func TestBucketsOfStages(t *testing.T) {
	if got := stageBuckets; got[0] != 10e-6 || got[1] != 25e-6 || got[2] != 62.5e-6 || got[len(got)-1] < 9 {
		t.Errorf("%v", got)
	}
}
