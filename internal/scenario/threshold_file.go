package scenario

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
)

//go:embed builtin/targets.txt
var suiteTargets string

// SuiteTargets is the name under which ReadThresholds knows the suite's table of targets.
const SuiteTargets = "targets"

// ReadThresholds reads a file with one threshold a line; # begins a comment. The name "targets"
// is the suite's own table, which is built in.
func ReadThresholds(file string) ([]Threshold, error) {
	text := suiteTargets
	if file != SuiteTargets {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("thresholds: %w; the built-in file is called %s", err, SuiteTargets)
		}
		text = string(b)
	}
	var out []Threshold
	var errs []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		th, err := ParseThreshold(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, number, err))
		}
		out = append(out, th)
	}
	if len(out) == 0 {
		errs = append(errs, fmt.Errorf("thresholds: %s holds none; write one a line, such as POST /api/v1/chat: p95 < 1s", file))
	}
	return out, errors.Join(errs...)
}
