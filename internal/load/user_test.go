package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ragscope/ragscope/internal/scenario"
)

// shop wants a login, an order and its payment, in this order, each with what the one before it
// gave. It notes what is out of order.
type shop struct {
	mu      sync.Mutex
	tokens  map[string]string // to the user who has it
	orders  map[string]bool
	logins  atomic.Int64
	refuse  atomic.Int64 // so many logins at first
	wrong   atomic.Int64
	lastErr atomic.Value
}

func (s *shop) complain(w http.ResponseWriter, format string, args ...any) {
	s.wrong.Add(1)
	s.lastErr.Store(fmt.Sprintf(format, args...))
	w.WriteHeader(http.StatusTeapot)
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	switch r.URL.Path {
	case "/login":
		var in struct{ Name, Password string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Password != "secret of "+in.Name || r.Header.Get("Authorization") != "" {
			s.complain(w, "login %+v, %v, Authorization %q", in, err, r.Header.Get("Authorization"))
			return
		}
		if s.refuse.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		token := fmt.Sprintf("t%d", s.logins.Add(1))
		s.tokens[token] = in.Name
		fmt.Fprintf(w, `{"user":{"name":%q},"token":%q}`, in.Name, token)
	case "/order":
		if user == "" {
			s.complain(w, "order without a login")
			return
		}
		id := fmt.Sprintf("%s-%d", user, len(s.orders))
		s.orders[id] = false
		w.Header().Set("Location", "/orders/"+id)
		fmt.Fprintf(w, `{"id":%q,"lines":[{"price":3}]}`, id)
	default:
		id := strings.TrimPrefix(r.URL.Path, "/pay/")
		if paid, known := s.orders[id]; !known || paid || !strings.HasPrefix(id, user+"-") || r.URL.Query().Get("by") != user {
			s.complain(w, "payment of %q by %q (known %v, paid %v)", id, r.URL.RawQuery, known, paid)
			return
		}
		s.orders[id] = true
	}
}

const shopScenario = `
users: 4
spawn_rate: 1000
run_time: 400ms
data: {people: {file: people.csv, order: unique}}
auth: {bearer: "{{ .token }}"}
on_start:
  - request: {path: /login, json: {name: "{{ .people.name }}", password: "{{ .people.password }}"}}
    check: {has: token}
    save: {token: {json: token}}
tasks:
  - name: buy
    steps:
      - request: {method: POST, path: /order}
        check: {json: {"lines.0.price": 3}, headers: {location: /orders/}}
        save: {id: {header: location, regexp: '/orders/(.*)'}}
        think_time: 1ms
      - request: {method: PUT, path: "/pay/{{ .id }}", query: {by: "{{ .people.name }}"}}
`

var people = fstest.MapFS{"people.csv": {Data: []byte("name,password\nann,secret of ann\nbob,secret of bob\ncyd,secret of cyd\ndan,secret of dan\n")}}

func shopping(t *testing.T, text string, s *shop) *Result {
	t.Helper()
	s.tokens, s.orders = map[string]string{}, map[string]bool{}
	web := newServer(t, s.ServeHTTP)
	sc, err := scenario.Parse("shop.yaml", []byte(text), people, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := Run(context.Background(), Config{Scenario: sc, Host: web.URL, StopTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if s.wrong.Load() > 0 {
		t.Errorf("the server complains %d times, last of %v", s.wrong.Load(), s.lastErr.Load())
	}
	if got := res.All().Requests; got != web.requests.Load() {
		t.Errorf("the loader counts %d requests, the server %d", got, web.requests.Load())
	}
	return res
}

func requests(t *testing.T, res *Result, name string) int64 {
	t.Helper()
	for _, k := range res.Tasks {
		if k.Name == name {
			return k.Requests
		}
	}
	t.Fatalf("no requests are counted as %s", name)
	return 0
}

func TestSessions(t *testing.T) {
	s := &shop{}
	res := shopping(t, shopScenario, s)
	if s.logins.Load() != 4 || requests(t, res, "/login") != 4 {
		t.Errorf("4 users logged in %d times", s.logins.Load())
	}
	orders, payments := requests(t, res, "/order"), requests(t, res, "/pay/{}")
	if orders < 20 || orders-payments > 4 || res.All().Failures > 0 || res.Skipped > 0 {
		t.Errorf("%d orders, %d payments, %d failures, %d skipped", orders, payments, res.All().Failures, res.Skipped)
	}
}

// A user whose login fails logs in again, and sends nothing that needs the login before.
func TestLoginIsRepeatedUntilItSucceeds(t *testing.T) {
	s := &shop{}
	s.refuse.Store(6)
	res := shopping(t, shopScenario, s)
	if s.logins.Load() != 4 || requests(t, res, "/login") != 10 || res.All().Failures != 6 {
		t.Errorf("%d logins in %d requests with %d failures, want 4 in 10 with 6", s.logins.Load(), requests(t, res, "/login"), res.All().Failures)
	}
	if res.Skipped != 12 { // order and payment of six turns
		t.Errorf("%d requests are skipped, want 12", res.Skipped)
	}
}

func TestSessionsInTheOpenModel(t *testing.T) {
	s := &shop{}
	text := strings.Replace(shopScenario, "users: 4\nspawn_rate: 1000\n", "rate: 200/s\nmax_in_flight: 4\n", 1)
	res := shopping(t, text, s)
	if orders := requests(t, res, "/order"); orders+res.Missed != 80 || s.logins.Load() > 4 || requests(t, res, "/login") != s.logins.Load() {
		t.Errorf("%d orders and %d missed of 80 arrivals, %d logins", orders, res.Missed, s.logins.Load())
	}
}

// What a check demands and an answer lacks is a failure with these words.
func TestChecksOfAnswers(t *testing.T) {
	web := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Kind", "good food")
		if r.URL.Path == "/slow" {
			time.Sleep(30 * time.Millisecond)
		}
		if r.URL.Path == "/text" {
			fmt.Fprint(w, "plain")
			return
		}
		fmt.Fprint(w, `{"status":"ok","n":5,"items":[{"id":"a b"}],"none":null}`)
	})
	tests := map[string]string{
		`{path: /}, check: {has: [status, items.0.id, [x, n]], json: {status: ok, n: 5.0, items: [{id: "a b"}], none: null}}`: "",
		`{path: /}, check: {has: [[x, y]]}`:                             "the answer has no field x or y",
		`{path: /}, check: {json: {n: 6}}`:                              "field n is 5, expected 6",
		`{path: /}, check: {json: {n: "5"}}`:                            `field n is 5, expected "5"`,
		`{path: /}, check: {json: {m: 6}}`:                              "field m is not there, expected 6",
		`{path: /text}, check: {has: n}`:                                "the answer is not JSON",
		`{path: /}, check: {regexp: '"n":\s*[0-9]'}`:                    "",
		`{path: /}, check: {regexp: '"n":[6-9]'}`:                       `the answer does not match "\"n\":[6-9]"`,
		`{path: /}, check: {headers: {x-kind: food, content-type: ""}}`: "",
		`{path: /}, check: {headers: {x-kind: bad}}`:                    `header X-Kind is "good food", expected it to contain "bad"`,
		`{path: /}, check: {time: 5s}`:                                  "",
		`{path: /slow}, check: {time: 20ms}`:                            "took longer than 20ms",
		`{path: /}, save: {v: {json: "items.0.id"}}`:                    "",
		`{path: /}, save: {v: {json: none}}`:                            "save v: the answer has no JSON field none",
		`{path: /}, save: {v: {header: location}}`:                      "save v: the answer has no header Location",
		`{path: /}, save: {v: {regexp: 'id":"(\d)'}}`:                   `save v: the answer does not match "id\":\"(\\d)"`,
		`{path: /}, save: {v: {json: status, regexp: '^o(.)$'}}`:        "",
	}
	for text, want := range tests {
		sc := parse(t, "users: 1\nthink_time: 40ms\ntasks: [{request: "+text+"}]\n")
		c, stop := controlled(t, Config{Scenario: sc, Host: web.URL})
		until(t, c, func(r *Result) bool { return r.All().Requests > 0 })
		res := stop()
		got := ""
		for f := range res.Tasks[0].Errors {
			got = f.String()
		}
		if got != want || res.Tasks[0].Requests == 0 {
			t.Errorf("%s: %q, want %q (%d requests)", text, got, want, res.Tasks[0].Requests)
		}
	}
}

// Classes share the users by weight, and each has its own tasks, headers and host.
func TestUserClasses(t *testing.T) {
	other := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/admin" || r.Header.Get("X-Role") != "admin" || r.Header.Get("X-All") != "1" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	web := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/admin" || r.Header.Get("X-Role") != "none" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	sc := parse(t, `
users: 8
spawn_rate: 1000
run_time: 300ms
think_time: pacing(20ms)
headers: {x-role: none, x-all: 1}
user_classes:
  - {name: Visitor, weight: 3, tasks: [{request: {path: /a}}, {request: {path: /b}}]}
  - {name: Admin, host: "`+other.URL+`", headers: {X-Role: admin}, tasks: [{request: {path: /admin}}]}
`)
	res, err := Run(context.Background(), Config{Scenario: sc, Host: web.URL, StopTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if all := res.All(); all.Failures > 0 || all.Requests != web.requests.Load()+other.requests.Load() {
		t.Errorf("%d failures, %d requests of %d and %d", all.Failures, all.Requests, web.requests.Load(), other.requests.Load())
	}
	// Six visitors and two admins, each every 20 ms for 300 ms: never more than 16 each.
	if v, a := web.requests.Load(), other.requests.Load(); v > 6*16 || a > 2*16 || v < 6*5 || a < 2*5 {
		t.Errorf("visitors sent %d, admins %d", v, a)
	}
}
