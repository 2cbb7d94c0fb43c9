package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ragscope/ragscope/internal/command"
)

// What the user got wrong, and what the environment does not allow, before anything is attached:
// one sentence on standard error, nothing on standard output, nothing written.
func TestBadInput(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	occupied := taken.Addr().String()
	target := fmt.Sprintf(":%d", taken.Addr().(*net.TCPAddr).Port)
	free := freePort(t)

	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"a-file": "", "broken.yaml": "target: [", "unknown.yaml": "tarrget: :1", "duration.yaml": "duration: soon",
		"negative.yaml": "duration: -5s", "listen.yaml": "listen: " + occupied, "out.yaml": "out: a-file/below",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := list(t, dir)

	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{"bogus", command.Usage, []string{`"bogus"`, "record", "doctor", "--help"}},
		{"--bogus", command.Usage, []string{"-bogus", "agent --help"}},
		{"memory --bogus", command.Usage, []string{"-bogus", "agent memory --help"}},
		{"record --bogus", command.Usage, []string{"-bogus", "agent record --help"}},
		{"run --bogus", command.Usage, []string{"-bogus", "agent run --help"}},
		{"doctor --bogus", command.Usage, []string{"-bogus", "agent doctor --help"}},
		{"record --target", command.Usage, []string{"-target", "argument"}},

		{"record", command.Usage, []string{"--target", ":8000"}},
		{"memory", command.Usage, []string{"--target", ":8000"}},
		{"run", command.Usage, []string{"--target", ":8000"}},
		{"run --target " + target + " --self-profile", command.Usage, []string{"--self-profile needs --pyroscope"}},
		{"run --target " + target + " --pyroscope me:secret@here", command.Usage, []string{"--pyroscope", "http://host:4040"}},
		{"run --target " + target + " --pyroscope http://here --pyroscope-token @nowhere", command.Environment, []string{"--pyroscope-token", "nowhere"}},
		{"record --target web", command.Usage, []string{"--target", `"web"`, ":PORT"}},
		{"record --target :0", command.Usage, []string{"--target"}},
		{"record --target :70000", command.Usage, []string{"--target"}},
		{"record --target pid:self", command.Usage, []string{"--target", "pid:"}},
		{"record --target name:", command.Usage, []string{"--target", "name:uvicorn"}},
		{"run --target cgroup:here", command.Usage, []string{"--target", "cgroup:/"}},
		{"doctor --target web", command.Usage, []string{"--target", `"web"`, ":PORT"}},
		{"record " + target, command.Usage, []string{"unexpected argument", target}},
		{"record --target :1 now --duration 1s", command.Usage, []string{"unexpected argument", `"now"`}},
		{"doctor --json now", command.Usage, []string{"unexpected argument", `"now"`}},

		{"record --target :1 --duration soon", command.Usage, []string{"soon", "-duration"}},
		{"record --target :1 --duration 60", command.Usage, []string{"60", "-duration"}},
		{"record --target :1 --duration 0s", command.Usage, []string{"--duration", "above 0"}},
		{"record --target :1 --duration -1m", command.Usage, []string{"--duration", "above 0"}},
		{"record --target :1 --overhead-budget much", command.Usage, []string{"--overhead-budget", "much", "2%"}},
		{"record --target :1 --overhead-budget -1%", command.Usage, []string{"--overhead-budget"}},
		{"record --target :1 --overhead-budget 101%", command.Usage, []string{"--overhead-budget"}},
		{"record --target :1 --overhead-budget 2", command.Usage, []string{"--overhead-budget", "2%"}},
		{"record --target :1 --overhead-budget nan", command.Usage, []string{"--overhead-budget"}},
		{"memory --target :1 --duration 0s", command.Usage, []string{"--duration", "above 0"}},
		{"memory --target :1 --memory-limit much", command.Usage, []string{"--memory-limit", `"much"`, "2GB"}},
		{"record --target :1 --memory-limit -1GB", command.Usage, []string{"--memory-limit", "-1GB"}},
		{"run --target :1 --precision all", command.Usage, []string{"--precision", "all", "full", "linked", "sockets"}},
		{"run --target :1 --cpu-hz -5", command.Usage, []string{"--cpu-hz"}},
		{"run --target :1 --cpu-hz often", command.Usage, []string{"often", "-cpu-hz"}},
		{"run --target :1 --pyroscope pyroscope", command.Usage, []string{"--pyroscope", "http://host:4040"}},
		{"run --target :1 --pyroscope ftp://pyroscope:4040", command.Usage, []string{"--pyroscope", "http://host:4040"}},
		{"run --target :1 --pyroscope http://", command.Usage, []string{"--pyroscope", "http://host:4040"}},
		{"record --target :1 --log-level loud", command.Usage, []string{"--log-level", "debug"}},
		{"doctor --log-format xml", command.Usage, []string{"--log-format", "json"}},

		{"record --target :1 --config absent.yaml", command.Usage, []string{"absent.yaml", "no such file"}},
		{"record --target :1 --config broken.yaml", command.Usage, []string{"broken.yaml"}},
		{"run --config unknown.yaml", command.Usage, []string{"unknown.yaml", "tarrget", "run"}},
		{"doctor --config unknown.yaml", command.Usage, []string{"unknown.yaml", "tarrget", "doctor"}},
		{"record --target :1 --config duration.yaml", command.Usage, []string{"duration.yaml", "soon"}},
		{"record --target :1 --config negative.yaml", command.Usage, []string{"--duration", "above 0"}},

		{"record --target " + free, command.Environment, []string{free, "no TCP listener", "start the service first"}},
		{"run --listen 127.0.0.1:0 --target " + free, command.Environment, []string{free, "no TCP listener"}},
		{"record --target pid:4000000", command.Environment, []string{"pid:4000000", "no such process"}},
		{"record --target name:no-such-program", command.Environment, []string{"no-such-program", "ps -e"}},
		{"record --target cgroup:/no/such", command.Environment, []string{"cgroup:/no/such"}},
		{"run --listen " + occupied + " --target " + target, command.Environment, []string{"--listen", occupied, "in use", "another port"}},
		{"run --config listen.yaml --target " + target, command.Environment, []string{"--listen", occupied}},
		{"run --listen nowhere --target " + target, command.Environment, []string{"--listen nowhere"}},
		{"memory --target " + free, command.Environment, []string{free, "no TCP listener", "start the service first"}},
		{"memory --out a-file --target " + target, command.Environment, []string{"--out", "a-file"}},
		{"record --out a-file --target " + target, command.Environment, []string{"--out", "a-file"}},
		{"record --out a-file/below --target " + target, command.Environment, []string{"--out", "a-file"}},
		{"record --config out.yaml --target " + target, command.Environment, []string{"--out", "a-file"}},
		{"record --requests no/such/folder --target " + target, command.Environment, []string{"--requests", "no/such"}},
		{"record --out new --requests . --target " + target, command.Environment, []string{"--requests"}},
		{"record --out new --requests lines --target " + free, command.Environment, []string{free}},
	} {
		t.Run(c.args, func(t *testing.T) {
			got := call(t, strings.Fields(c.args)...)
			got.wants(t, c.code, append(c.says, "agent: ")...)
			if n := strings.Count(got.err, "\n"); n > 1 && !strings.Contains(c.args, "broken.yaml") { // that shows the place
				t.Errorf("%d lines on standard error, want one sentence", n)
			}
			if got.out != "" {
				t.Errorf("on standard output: %s", got.out)
			}
			if after := list(t, dir); after != before {
				t.Errorf("left behind: %s; want %s", after, before)
			}
		})
	}
}

// Every flag stands in the environment too, and is checked as on the command line.
func TestBadEnvironment(t *testing.T) {
	for name, c := range map[string]struct{ value, command, says string }{
		"RAGSCOPE_TARGET":          {"web", "record", `"web"`},
		"RAGSCOPE_DURATION":        {"soon", "record", "soon"},
		"RAGSCOPE_OVERHEAD_BUDGET": {"much", "run", "much"},
		"RAGSCOPE_CPU_HZ":          {"often", "run", "often"},
		"RAGSCOPE_CONFIG":          {"/no/such/file.yaml", "doctor", "/no/such/file.yaml"},
		"RAGSCOPE_LOG_LEVEL":       {"loud", "doctor", "loud"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("RAGSCOPE_TARGET", ":1")
			t.Setenv(name, c.value)
			call(t, c.command).wants(t, command.Usage, c.says)
		})
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprintf(":%d", l.Addr().(*net.TCPAddr).Port)
}

// list names all below a folder, to see what was left there.
func list(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(path, dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}
