package load

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Case is one thing that a run promised, for continuous integration.
type Case struct {
	Group    string // the endpoint, or "run"
	Name     string
	Measured string
	Kept     bool
}

// Cases are the run's thresholds and, before them, that the run is valid and, where failures
// count, that no request failed.
func (r *Result) Cases(verdicts []Verdict, failuresCount bool) []Case {
	out := []Case{{Group: "run", Name: "the loader kept its schedule", Measured: strings.Join(r.Invalid, "; "), Kept: len(r.Invalid) == 0}}
	if all := r.All(); failuresCount {
		out = append(out, Case{Group: "run", Name: "no request failed", Kept: all.Failures+all.Limited == 0,
			Measured: fmt.Sprintf("%d of %d requests failed", all.Failures+all.Limited, all.Requests)})
	}
	for _, v := range verdicts {
		group := v.Threshold.Where
		if group == "" {
			group = "run"
		}
		out = append(out, Case{group, v.Threshold.Text, v.Measured, v.Kept})
	}
	return out
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
}

// JUnit is the run as a JUnit file, which CI systems show as tests.
func (r *Result) JUnit(cases []Case) ([]byte, error) {
	s := junitSuite{Name: "loader " + r.Scenario.Name, Tests: len(cases), Time: fmt.Sprintf("%.3f", r.Elapsed.Seconds()), Stamp: r.Start.UTC().Format("2006-01-02T15:04:05")}
	for _, c := range cases {
		j := junitCase{Class: c.Group, Name: c.Name, Out: c.Measured}
		if !c.Kept {
			s.Failures++
			j.Failure, j.Out = &junitFailure{"measured: " + c.Measured}, ""
		}
		s.Cases = append(s.Cases, j)
	}
	b, err := xml.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("--junit: %w", err)
	}
	return append([]byte(xml.Header), append(b, '\n')...), nil
}

// Escapes of GitHub's workflow commands, for a message and for a property.
var (
	githubMessage  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// GitHubAnnotations writes a workflow command for each case that was missed, and one notice
// when none was.
func GitHubAnnotations(w io.Writer, cases []Case) {
	missed := 0
	for _, c := range cases {
		if !c.Kept {
			missed++
			fmt.Fprintf(w, "::error title=%s::%s (measured: %s)\n", githubProperty.Replace("load test: "+c.Group), githubMessage.Replace(c.Name), githubMessage.Replace(c.Measured))
		}
	}
	if missed == 0 {
		fmt.Fprintf(w, "::notice title=load test::all %d checks kept\n", len(cases))
	}
}

// VerdictTable is the thresholds as a table, those that were missed first; "" without any.
func VerdictTable(verdicts []Verdict) string {
	if len(verdicts) == 0 {
		return ""
	}
	width := len("threshold")
	for _, v := range verdicts {
		width = max(width, len([]rune(v.Threshold.Text)))
	}
	var sb strings.Builder
	fmt.Fprintf(&sb, "%-7s %-*s %s\n", "", width, "threshold", "measured")
	for _, kept := range []bool{false, true} {
		word := map[bool]string{false: "MISSED", true: "kept"}[kept]
		for _, v := range verdicts {
			if v.Kept == kept {
				fmt.Fprintf(&sb, "%-7s %-*s %s\n", word, width, v.Threshold.Text, v.Measured)
			}
		}
	}
	return sb.String()
}
