package main

import (
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/command"
)

// doctor says the same as text and as JSON, of the machine and of a target.
func TestDoctor(t *testing.T) {
	needRoot(t)
	target := startService(t)
	text, json := call(t, "doctor", "--target", target.port), call(t, "doctor", "--target", target.port, "--json")
	text.wants(t, command.OK)
	json.wants(t, command.OK)
	for _, f := range findings(t, json.out) {
		if f.What == "" || f.Detail == "" || f.Verdict != "ok" && f.Verdict != "degraded" && f.Verdict != "missing" {
			t.Errorf("finding %+v", f)
		}
		if f.Verdict != "ok" && f.Mend == "" {
			t.Errorf("it does not say how to mend it: %+v", f)
		}
		if !strings.Contains(text.out, f.Verdict) || !strings.Contains(text.out, f.What) {
			t.Errorf("the text has no %s:\n%s", f.What, text.out)
		}
	}
	for _, what := range []string{"kernel", "rights", "BTF", "overhead", "stacks on the CPU", "stacks off the CPU", "stacks of new memory", "hook sock_recv"} {
		if f := finding(t, json.out, what); f.Verdict == "missing" {
			t.Errorf("%+v", f)
		}
		if !strings.Contains(examined.out, what) {
			t.Errorf("without a target it says nothing about %s:\n%s", what, examined.out)
		}
	}
	if f := finding(t, json.out, "target"); f.Verdict != "ok" || !strings.Contains(f.Detail, target.port) {
		t.Errorf("%+v", f)
	}
	if !strings.Contains(text.out, "memory: RSS ") {
		t.Errorf("it says nothing about the target's memory:\n%s", text.out)
	}
	if !strings.Contains(text.out, " is Go ") || !strings.Contains(text.out, "not measured: endpoint of CPU samples") {
		t.Errorf("it does not say what a target that is not Python lacks:\n%s", text.out)
	}
}

// A target that is not there is told beside all that could be examined.
func TestDoctorWithoutTarget(t *testing.T) {
	needRoot(t)
	port := freePort(t)
	got := call(t, "doctor", "--target", port)
	got.wants(t, command.Environment, port, "no TCP listener")
	if !strings.Contains(got.out, "BTF") || !strings.Contains(got.out, "missing   target") {
		t.Errorf("findings: %s", got.out)
	}
}
