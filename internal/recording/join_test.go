package recording

import "testing"

func TestFits(t *testing.T) {
	tests := []struct {
		template, client string
		open             int
		ok               bool
	}{
		{"POST /chat", "POST /chat", 0, true},
		{"POST /chat", "GET /chat", 0, false},
		{"GET /items/{id}", "GET /items/{}", 1, true},
		{"GET /items/{id}", "GET /items/7", 1, true},
		{"GET /items/{id}", "GET /items/", 0, false},
		{"GET /items/{id}", "GET /items/7/x", 0, false},
		{"GET /items/{id}/x", "GET /items/7", 0, false},
		{"GET /files/{p:path}", "GET /files/a/b", 2, true},
		{"GET /", "GET /", 0, true},
	}
	for _, tt := range tests {
		if open, ok := fits(tt.template, tt.client); ok != tt.ok || ok && open != tt.open {
			t.Errorf("%s with %s: %d %v, want %d %v", tt.client, tt.template, open, ok, tt.open, tt.ok)
		}
	}
}

func TestJoin(t *testing.T) {
	client := func(n int64) *Client { return &Client{Requests: n, Errors: []Failure{{"x", n}}} }
	r := &Recording{Endpoints: []Endpoint{{Endpoint: "GET /items/{id}", Requests: 9}, {Endpoint: "GET /items/special", Requests: 2}}}
	r.Join(Scenario{Name: "s", Requests: 12}, []Endpoint{
		{Endpoint: "GET /items/special", Client: client(2)},
		{Endpoint: "GET /items/1", Client: client(4)},
		{Endpoint: "GET /items/2", Client: client(5)},
		{Endpoint: "GET /absent", Client: client(1)},
	})
	want := map[string][2]int64{"GET /absent": {0, 1}, "GET /items/special": {2, 2}, "GET /items/{id}": {9, 9}}
	last := ""
	for _, e := range r.Endpoints {
		if got := [2]int64{e.Requests, e.Client.Requests}; got != want[e.Endpoint] || e.Client.Errors[0].Count != got[1] {
			t.Errorf("%s: agent and client %v, want %v", e.Endpoint, got, want[e.Endpoint])
		}
		if e.Endpoint < last {
			t.Errorf("%s is out of order", e.Endpoint)
		}
		last = e.Endpoint
	}
	if r.Scenario.Requests != 12 || len(r.Endpoints) != 3 {
		t.Errorf("recording %+v", r)
	}
}
