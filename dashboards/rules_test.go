package dashboards

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

func TestRules(t *testing.T) {
	groups, errs := rulefmt.Parse(Rules, false, model.LegacyValidation, promQL, slog.Default())
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) == 0 {
		t.Fatal("no rules")
	}
	series := known()
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if r.Record != "" { // later rules may use it; level says its labels
				level, _, _ := strings.Cut(r.Record, ":")
				series[r.Record] = append(labelsOf(level), added...)
			}
		}
		for _, r := range g.Rules {
			name := r.Record + r.Alert
			for _, wrong := range checkExpr(r.Expr, series) {
				t.Errorf("%s: %s", name, wrong)
			}
			if r.Alert == "" {
				continue
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.For == 0 {
				t.Errorf("%s: an alert needs severity, summary, description and for", name)
			}
		}
	}
}

// labelsOf are the labels that a recorded series keeps, by the first part of its name.
func labelsOf(level string) []string {
	return map[string][]string{
		"service":       {"service"},
		"service_route": {"service", "http_request_method", "http_route"},
		"service_stage": {"service", "stage", "peer"},
		"service_pool":  {"service", "db_client_connection_pool_name"},
	}[level]
}
