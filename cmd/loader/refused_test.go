package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/locust/locusttest"
)

// said returns the exit code and what was written to standard error and the log.
func said(t *testing.T, args ...string) (int, string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, logger := os.Stderr, slog.Default()
	os.Stderr = w
	slog.SetDefault(slog.New(slog.NewTextHandler(w, nil)))
	defer func() { os.Stderr = stderr; slog.SetDefault(logger) }()
	var out bytes.Buffer
	done := make(chan bool)
	go func() { _, _ = out.ReadFrom(r); close(done) }()
	code := loader(args...)
	_ = w.Close()
	<-done
	return code, out.String()
}

// Each of Locust's flags that has no meaning here is refused with what to use instead, by flag
// and by variable.
func TestForeignFlags(t *testing.T) {
	for _, f := range foreigners {
		args, value := []string{"--list", "--" + f.name}, "true"
		if f.valued {
			value = "3"
			args = append(args, value)
		}
		want := command.Usage
		if f.harmless {
			want = command.OK
		}
		if code, text := said(t, args...); code != want || !strings.Contains(text, f.instead) {
			t.Errorf("%q: exit code %d, want %d: %s", args, code, want, text)
		}
		if f.env != "" {
			t.Setenv("LOCUST_"+f.env, value)
			if code, text := said(t, "--list"); code != want || !strings.Contains(text, f.instead) {
				t.Errorf("LOCUST_%s: exit code %d, want %d: %s", f.env, code, want, text)
			}
			t.Setenv("LOCUST_"+f.env, "")
		}
	}
}

// Every flag and variable that the real Locust's parser knows is one of run's.
func TestEveryFlagOfLocust(t *testing.T) {
	out, err := exec.Command(filepath.Join(locusttest.Need(t), "python"), "-c", `
import json
from locust.argument_parser import get_parser
print(json.dumps([[a.option_strings, a.env_var or ""] for a in get_parser()._actions if a.option_strings]))`).Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs []struct {
		names []string
		env   string
	}
	var raw [][2]json.RawMessage
	if err := json.Unmarshal(out, &raw); err != nil || len(raw) < 50 {
		t.Fatalf("%d flags, %v", len(raw), err)
	}
	for _, x := range raw {
		var names []string
		var env string
		if json.Unmarshal(x[0], &names) != nil || json.Unmarshal(x[1], &env) != nil {
			t.Fatalf("%s", x)
		}
		theirs = append(theirs, struct {
			names []string
			env   string
		}{names, env})
	}
	known, variables := []string{"help", "h", "version", "V", "web-auth"}, []string{"LOCUST_WEB_AUTH"}
	for _, f := range runFlags() {
		known = append(known, f.Names()...)
		if e, ok := f.(interface{ GetEnvVars() []string }); ok {
			variables = append(variables, e.GetEnvVars()...)
		}
	}
	for _, f := range theirs {
		for _, n := range f.names {
			if !slices.Contains(known, strings.TrimLeft(n, "-")) {
				t.Errorf("%s is not known", n)
			}
		}
		if f.env != "" && !slices.Contains(variables, f.env) {
			t.Errorf("%s of %v is not known", f.env, f.names)
		}
	}
}

func TestLocustConf(t *testing.T) {
	var requests atomic.Int64
	api := ragAPI(t, &requests)
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("locust.conf", "# ours\n[section]\nhost = "+api+"\nheadless = yes\nrun-time: 200ms\nonly-summary\nthink-time 1ms\ntags = [chat, health]\nusers = 2\n")
	write(filepath.Join(os.Getenv("HOME"), ".locust.conf"), "users = 3\nexclude-tags = [chat]\n")
	if code, text := said(t, "--csv", "a"); code != 0 || !strings.Contains(text, "locust.conf") {
		t.Errorf("exit code %d: chat is excluded, health does not fail: %s", code, text)
	}
	if rows := rows(t, "a_stats.csv"); len(rows) != 3 || rows[1][1] != "/health" {
		t.Errorf("rows %q", rows)
	}
	// The command line comes first, then the environment, then --config.
	write("my.conf", "exclude-tags = health\ntags = chat stream\n")
	if code, text := said(t, "--config", "my.conf", "--exclude-tags", "stream"); code != 1 {
		t.Errorf("exit code %d, chat fails: %s", code, text)
	}
	t.Setenv("LOCUST_TAGS", "health")
	if code, text := said(t, "--config", "my.conf", "-E", "chat"); code != 0 {
		t.Errorf("exit code %d, the environment asks for health: %s", code, text)
	}
	for text, want := range map[string]string{"nosuch = 5\n": "my.conf:1: nosuch: no flag", "\nusers = many\n": `my.conf:2: users: "many"`} {
		write("my.conf", text)
		if code, said := said(t, "--config", "my.conf"); code != command.Usage || !strings.Contains(said, want) {
			t.Errorf("%q: exit code %d: %s", text, code, said)
		}
	}
}
