package dashboards

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/ragscope/ragscope/internal/export/metrics"
)

// notOurs are metrics that an expression may use although no part of the agent exports them.
var notOurs = map[string]string{
	"up": "Prometheus itself writes it for each target that it scrapes",
}

// added are labels that a series gets from Prometheus.
var added = []string{"job", "instance", "le"}

// promQL parses expressions.
var promQL = parser.NewParser(parser.Options{})

// known are the series that expressions may use, with their labels: those of the catalogue,
// and of a histogram its classic ones.
func known() map[string][]string {
	out := map[string][]string{}
	for _, f := range metrics.Families() {
		names := []string{f.Name}
		if f.Kind == metrics.Histogram {
			names = []string{f.Name, f.Name + "_bucket", f.Name + "_sum", f.Name + "_count"}
		}
		for _, n := range names {
			out[n] = append(slices.Clone(f.Labels), added...)
		}
	}
	for name := range notOurs {
		out[name] = added
	}
	return out
}

// checkExpr tells what is wrong with an expression: it does not parse, or uses a series or a
// label that does not exist.
func checkExpr(expr string, known map[string][]string) []string {
	e, err := promQL.ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	labels := map[string]bool{}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		has, ok := known[v.Name]
		if !ok {
			wrong = append(wrong, v.Name+" is exported by no part")
			return nil
		}
		for _, l := range has {
			labels[l] = true
		}
		for _, m := range v.LabelMatchers {
			if m.Name != "__name__" && !slices.Contains(has, m.Name) {
				wrong = append(wrong, v.Name+" has no label "+m.Name)
			}
		}
		return nil
	})
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			for _, l := range a.Grouping {
				if !labels[l] {
					wrong = append(wrong, "groups by "+l+", which none of its series has")
				}
			}
		}
		return nil
	})
	return wrong
}

func TestChecksFindWhatIsWrong(t *testing.T) {
	for expr, want := range map[string]string{
		"sum(":                                "parse error",
		"no_such_metric":                      "exported by no part",
		"process_memory_usage_bytes{pid='1'}": "has no label pid",
		"sum by (pod) (process_memory_usage_bytes)": "groups by pod",
	} {
		got := checkExpr(expr, known())
		if len(got) == 0 || !strings.Contains(got[0], want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

type dashboard struct {
	UID        string
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ UID string }
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct {
		Expr, RefID, LegendFormat string
		Datasource                struct{ UID string }
	}
}

func load(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal(Performance, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// filled puts values where Grafana puts them.
func filled(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "30m", "$job", ".*", "$service", ".*").Replace(expr)
}

func TestPanelsReadOnlyWhatExists(t *testing.T) {
	known := known()
	for _, p := range load(t).Panels {
		for _, target := range p.Targets {
			for _, wrong := range checkExpr(filled(target.Expr), known) {
				t.Errorf("%s %s: %s", p.Title, target.RefID, wrong)
			}
		}
	}
}

func TestPanelsKeepTheHouseRules(t *testing.T) {
	ids := map[int]bool{}
	for _, p := range load(t).Panels {
		if ids[p.ID] {
			t.Errorf("%s: id %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if len(p.Description) < 20 || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%s: description %q, unit %q, %d expressions", p.Title, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
		}
		if p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: data source %q", p.Title, p.Datasource.UID)
		}
		for _, target := range p.Targets {
			e := target.Expr
			switch {
			case target.Datasource.UID != "${datasource}":
				t.Errorf("%s %s: data source %q", p.Title, target.RefID, target.Datasource.UID)
			case strings.Count(e, "{") != strings.Count(e, `job=~"$job"`):
				t.Errorf("%s %s: not every series is chosen by $job: %s", p.Title, target.RefID, e)
			case strings.Contains(e, "[") && !strings.Contains(e, "[$__rate_interval]") && !strings.Contains(e, "[$__range]"):
				t.Errorf("%s %s: a range of its own: %s", p.Title, target.RefID, e)
			case target.LegendFormat == "":
				t.Errorf("%s %s: no legend", p.Title, target.RefID)
			}
		}
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	taken := map[[2]int]string{}
	for _, p := range load(t).Panels {
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("%s: position %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if o := taken[[2]int{x, y}]; o != "" {
					t.Fatalf("%s lies on %s", p.Title, o)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// The panels that people know from the suite before.
func TestAllKnownPanelsAreThere(t *testing.T) {
	var titles []string
	d := load(t)
	for _, p := range d.Panels {
		titles = append(titles, p.Title)
	}
	for _, want := range []string{"Request Latency", "Throughput", "Error Rate", "Memory RSS", "DB Connection Pool Usage", "LLM Token Throughput",
		"Request Status Breakdown", "Endpoint Distribution", "Average Latency by Endpoint", "System Health Overview", "Cache Hit Rate",
		"Qdrant Vector Count", "Neo4j Graph Size"} {
		if !slices.Contains(titles, want) {
			t.Errorf("no panel %q", want)
		}
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		if inner, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			expr := inner[:strings.LastIndex(inner, ",")]
			for _, wrong := range checkExpr(filled(expr), known()) {
				t.Errorf("variable %s: %s", v.Name, wrong)
			}
		}
	}
	if want := []string{"datasource", "job", "service"}; !slices.Equal(variables, want) {
		t.Errorf("variables %v, want %v", variables, want)
	}
}
