package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/locust/locusttest"
	"github.com/ragscope/ragscope/internal/scenario"
)

// configured is what Locust's parser and ours make of files, variables and flags; "2" is a refusal with that exit code.
type configured struct {
	Files map[string]string `json:"files"` // by name; ~/ is the home folder
	Env   map[string]string `json:"env"`
	Args  []string          `json:"args"`
}

// theirParser answers each case, a line of JSON, with a line.
const theirParser = `
import json, os, sys
sys.argv = ["locust"]
from locust.argument_parser import parse_options
for line in sys.stdin:
    case = json.loads(line)
    os.chdir(case["dir"])
    os.environ["HOME"] = case["home"]
    os.environ.update(case["env"])
    try:
        o = parse_options(case["args"])
        print("=", o.num_users, o.spawn_rate, o.headless, o.only_summary, o.run_time, o.host, o.stop_timeout, ",".join(o.tags or []))
    except SystemExit as e:
        print("=", e.code)
    for name in case["env"]:
        del os.environ[name]
`

// ours is the same of run's flags.
func (x configured) ours(t *testing.T, dir, home string) string {
	t.Chdir(dir)
	t.Setenv("HOME", home)
	for k, v := range x.Env {
		t.Setenv(k, v)
	}
	var out string
	cmd := runCommand(context.Background())
	cmd.Action = func(c *cli.Context) error {
		if err := configure(c); err != nil {
			t.Log(err)
			var coded *command.Error
			if !errors.As(err, &coded) {
				t.Fatal(err)
			}
			out = fmt.Sprint(coded.Code)
			return nil
		}
		python := func(given bool, v any) string {
			if !given {
				return "None"
			}
			return fmt.Sprint(v)
		}
		seconds := func(name string) any {
			d, err := scenario.ParseDuration(c.String(name))
			if err != nil {
				t.Fatal(err)
			}
			return d.Seconds()
		}
		boolean := func(name string) string { return map[bool]string{true: "True", false: "False"}[c.Bool(name)] }
		var run, stop any = nil, 0
		if c.IsSet("run-time") {
			run = seconds("run-time")
		}
		if c.IsSet("stop-timeout") {
			stop = seconds("stop-timeout")
		}
		out = strings.Join([]string{
			python(c.IsSet("users"), c.Int("users")), python(c.IsSet("spawn-rate"), c.String("spawn-rate")), boolean("headless"), boolean("only-summary"),
			python(run != nil, run), python(c.IsSet("host"), c.String("host")), fmt.Sprint(stop), strings.Join(words(c.StringSlice("tags")), ","),
		}, " ")
		return nil
	}
	app := &cli.App{Name: "loader", Commands: []*cli.Command{cmd}, Writer: io.Discard}
	if err := app.Run(append([]string{"loader", "run"}, x.Args...)); err != nil {
		t.Fatal(err)
	}
	return out
}

// Files, variables and flags mean what they mean to the real Locust's parser, and go before one another as there.
func TestConfigurationAsLocust(t *testing.T) {
	const toml = "[project]\nname = 'x'\n\n[tool.locust]\nusers = 3\nspawn-rate = 2.5\nheadless = true\nonly-summary = false\ntags = ['a', 'b']\n"
	all := map[string]string{
		"pyproject.toml": toml,
		"locust.conf":    "users = 5\nrun-time = 7s\ntags = [c]\nhost = http://conf\n",
		"~/.locust.conf": "users = 9\nrun-time = 9s\nhost = http://home\nstop-timeout = 4\n",
	}
	section := func(text string) configured {
		return configured{Files: map[string]string{"pyproject.toml": "[tool.locust]\n" + text + "\n"}}
	}
	cases := []configured{
		{},
		{Files: map[string]string{"pyproject.toml": toml}},
		{Files: all},
		{Files: all, Args: []string{"-u", "1", "--tags", "z", "--headless"}},
		{Files: all, Env: map[string]string{"LOCUST_USERS": "11", "LOCUST_TAGS": "e"}, Args: []string{"-t", "1s"}},
		{Files: map[string]string{"pyproject.toml": toml, "my.conf": "users = 8\nrun-time = 1m\n"}, Args: []string{"--config", "my.conf"}},
		{Files: map[string]string{"pyproject.toml": toml, "my.toml": "[tool.locust]\nusers = 18\n"}, Args: []string{"--config", "my.toml"}},
		{Files: map[string]string{"locust.conf": "headless on\nonly-summary: Yes\nhost = yes\nspawn-rate 2.5\n"}},
		{Files: map[string]string{"pyproject.toml": "[project]\nname = 'x'\n"}},
		{Files: map[string]string{"pyproject.toml": "[tool]\nlocust = 5\n"}},
		{Files: map[string]string{"pyproject.toml": "[[tool.locust]]\nusers = 3\n"}},
		{Files: map[string]string{"pyproject.toml": "tool.locust.users = 3\n"}},
		{Files: map[string]string{"pyproject.toml": "[tool.locust\n"}},
		section(`"--users" = 1_000`), section(`users = 4.5`), section(`users = "many"`), section(`users = {a = 1}`), section(`users = [1]`), section(`nosuch = 1`),
		section(`spawn_rate = 3`), section(`headless = 1`), section(`headless = "yes"`), section(`headless = "no"`), section(`headless = "OFF"`), section(`headless = "maybe"`), section(`run-time = 20`), section(`run-time = "1h20m"`),
		section(`tags = "x"`), section(`tags = []`), section(`host = "http://a"`), section(`users =`),
	}
	var in bytes.Buffer
	dirs := make([][2]string, len(cases))
	for i, x := range cases {
		dirs[i] = [2]string{t.TempDir(), t.TempDir()}
		for name, text := range x.Files {
			path, home := strings.CutPrefix(name, "~/")
			dir := dirs[i][0]
			if home {
				dir = dirs[i][1]
			}
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if x.Env == nil {
			x.Env = map[string]string{}
		}
		line, err := json.Marshal(map[string]any{"dir": dirs[i][0], "home": dirs[i][1], "env": x.Env, "args": append([]string{}, x.Args...)})
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	cmd := exec.Command(filepath.Join(locusttest.Need(t), "python"), "-c", theirParser)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs []string
	for line := range strings.Lines(string(out)) {
		if answer, ok := strings.CutPrefix(line, "= "); ok { // others are warnings
			theirs = append(theirs, strings.TrimSuffix(answer, "\n"))
		}
	}
	if len(theirs) != len(cases) {
		t.Fatalf("%d answers to %d cases", len(theirs), len(cases))
	}
	for i, x := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if got := x.ours(t, dirs[i][0], dirs[i][1]); got != theirs[i] {
				t.Errorf("%+v\n  Locust %s\n  loader %s", x, theirs[i], got)
			}
		})
	}
}
