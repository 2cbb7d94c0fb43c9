// Package dashboards holds what Grafana and Prometheus load: performance.json, a dashboard, and
// rules.yml, recording and alert rules. Both read only what the agent exports.
//
// The package has no code of its own but the tests that hold those files to the metrics: each
// expression parses, uses only metrics of the catalogue (or of a short list with reasons), and
// groups by labels that these metrics have.
package dashboards

import _ "embed" // the files

// Performance is the Grafana dashboard's JSON.
//
//go:embed performance.json
var Performance []byte

// Rules is the Prometheus rule file.
//
//go:embed rules.yml
var Rules []byte
