package truth

import (
	"math"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name         string
		made, linked string
		right, wrong int
	}{
		{"all", "GET GET", "GET GET", 2, 0},
		{"in another order and case", "GET mget", "MGET GET", 2, 0},
		{"one missing", "GET GET", "GET", 1, 0},
		{"one too many", "GET", "GET GET", 1, 1},
		{"of another request", "GET", "BLPOP", 0, 1},
		{"none made", "", "GET", 0, 1},
	} {
		right, wrong := match(strings.Fields(c.made), strings.Fields(c.linked))
		if right != c.right || wrong != c.wrong {
			t.Errorf("%s: %d right and %d wrong, want %d and %d", c.name, right, wrong, c.right, c.wrong)
		}
	}
}

// TestCompare has one request of each kind of mistake.
func TestCompare(t *testing.T) {
	known, err := decodeLines[Known](strings.NewReader(`
{"id":"good","operations":["GET"],"waits":[0.010],"holds":[0.020]}
{"id":"false","operations":["GET"],"waits":[0.0001]}
{"id":"missed","operations":["GET"],"waits":[0.005]}
{"id":"unseen","operations":["GET"],"waits":[0.004]}
{"id":"twice","operations":[],"waits":[]}
{"id":"sums","operations":["GET","GET"],"waits":[0,0]}`[1:]), "truth")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := decodeLines[Seen](strings.NewReader(`
{"id":"good","seconds":0.04,"complete":true,"stages":[{"stage":"upstream","seconds":0.03},{"stage":"unexplained","seconds":0.01}],"calls":[{"operation":"GET","pool_wait":0.009}]}
{"id":"false","seconds":0,"complete":true,"calls":[{"operation":"GET","pool_wait":0.003}]}
{"id":"missed","seconds":0,"complete":false,"calls":[{"operation":"GET","pool_wait":0}]}
{"id":"twice","seconds":0,"complete":true}
{"id":"twice","seconds":0,"complete":true}
{"id":"sums","seconds":1,"complete":true,"stages":[{"stage":"upstream","seconds":0.5}],"calls":[{"operation":"GET"},{"operation":"SET"}]}
{"id":"of nobody","seconds":1}`[1:]), "requests")
	if err != nil {
		t.Fatal(err)
	}
	var sent []Sent
	for _, id := range []string{"good", "false", "missed", "unseen", "twice", "sums", "not answered"} {
		sent = append(sent, Sent{ID: id, Path: "/items/7", Status: 200})
	}
	got := Compare(sent, known, seen)
	if len(got) != 2 || got[1].Endpoint != "GET /items/{item}" {
		t.Fatalf("want a total and one endpoint, got %+v", got)
	}
	for _, c := range got {
		for _, f := range []struct {
			what      string
			got, want int
		}{
			{"sent", c.Sent, 6}, {"seen", c.Seen, 5}, {"twice", c.Twice, 1}, {"incomplete", c.Incomplete, 1},
			{"calls made", c.CallsMade, 6}, {"linked", c.CallsLinked, 4}, {"wrong", c.CallsWrong, 1},
			{"false", c.FalseWaits, 1}, {"missed", c.MissedWaits, 2}, {"waits", c.TrueWaits, 3}, {"sums", c.SumViolations, 1},
		} {
			if f.got != f.want {
				t.Errorf("%s, %s: %d, want %d", c.Endpoint, f.what, f.got, f.want)
			}
		}
		if math.Abs(c.Error.Max-0.005) > 1e-9 || math.Abs(c.Error.Median-0.00195) > 1e-9 {
			t.Errorf("%s: error %+v", c.Endpoint, c.Error)
		}
	}
}

func TestDecodeLinesSaysWhere(t *testing.T) {
	_, err := decodeLines[Known](strings.NewReader("{}\n{"), "truth.jsonl")
	if err == nil || !strings.Contains(err.Error(), "truth.jsonl, line 2") {
		t.Errorf("got %v", err)
	}
}

func TestMeanWait(t *testing.T) {
	for _, c := range []struct {
		name        string
		rate        float64
		holds       []float64
		seconds, at float64
		ok          bool
	}{
		{"M/D/1 at a half: half a hold", 25, []float64{0.02, 0.02}, 0.01, 0.5, true},
		{"M/D/1 at 0.8: twice a hold", 40, []float64{0.02}, 0.04, 0.8, true},
		{"holds that vary wait longer", 25, []float64{0.01, 0.03}, 0.0125, 0.5, true},
		{"no steady state", 50, []float64{0.02}, 0, 1, false},
		{"nothing held", 50, nil, 0, 0, false},
	} {
		seconds, at, ok := meanWait(c.rate, c.holds)
		if math.Abs(seconds-c.seconds) > 1e-9 || math.Abs(at-c.at) > 1e-9 || ok != c.ok {
			t.Errorf("%s: %g s at %g, %v; want %g s at %g, %v", c.name, seconds, at, ok, c.seconds, c.at, c.ok)
		}
	}
}

func TestQuantiles(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Quartiles
	}{
		{nil, Quartiles{}},
		{[]float64{3}, Quartiles{1, 3, 3, 3}},
		{[]float64{5, 1, 4, 2, 3}, Quartiles{5, 2, 3, 4}},
		{[]float64{2, 1}, Quartiles{2, 1.25, 1.5, 1.75}},
	} {
		if got := quartiles(c.values); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestCorrelation(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []float64
		want float64
	}{
		{"in proportion", []float64{1, 2, 3}, []float64{10, 20, 30}, 1},
		{"against", []float64{1, 2, 3}, []float64{3, 2, 1}, -1},
		{"constant", []float64{1, 2, 3}, []float64{1, 1, 1}, 0},
		{"none", nil, nil, 0},
	} {
		if got := correlation(c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %g, want %g", c.name, got, c.want)
		}
	}
}
