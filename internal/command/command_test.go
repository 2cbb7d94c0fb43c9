package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// got is what a command saw of its flags.
type got struct {
	target   string
	duration time.Duration
	hz       int
	quiet    bool
	tags     []string
}

// configure runs a program whose only command is "watch", and returns what its flags hold after
// Configure.
func configure(t *testing.T, args ...string) (g got, err error) {
	t.Helper()
	app := &cli.App{
		Name: "program", Writer: io.Discard, ErrWriter: io.Discard, DisableSliceFlagSeparator: true,
		ExitErrHandler: func(*cli.Context, error) {},
		Commands: []*cli.Command{{
			Name: "watch",
			Flags: append(Flags(),
				&cli.StringFlag{Name: "target", Aliases: []string{"t"}, EnvVars: Env("target"), Value: ":1"},
				&cli.DurationFlag{Name: "run-time", EnvVars: Env("run-time"), Value: time.Minute},
				&cli.IntFlag{Name: "hz", EnvVars: Env("hz"), Value: 97},
				&cli.BoolFlag{Name: "quiet", EnvVars: Env("quiet")},
				&cli.StringSliceFlag{Name: "tag", EnvVars: Env("tag")},
			),
			Action: func(c *cli.Context) error {
				if err := Configure(c); err != nil {
					return err
				}
				g = got{c.String("target"), c.Duration("run-time"), c.Int("hz"), c.Bool("quiet"), c.StringSlice("tag")}
				return nil
			},
		}},
	}
	return g, app.RunContext(t.Context(), append([]string{"program", "watch"}, args...))
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ragscope.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagBeforeEnvironmentBeforeFile(t *testing.T) {
	for name, c := range map[string]struct {
		flag []string
		env  map[string]string
		file string
		want string
	}{
		"nothing":                  {want: ":1"},
		"file":                     {file: "target: :4", want: ":4"},
		"file by the short name":   {file: "t: :4", want: ":4"},
		"environment":              {env: map[string]string{"RAGSCOPE_TARGET": ":3"}, want: ":3"},
		"environment before file":  {env: map[string]string{"RAGSCOPE_TARGET": ":3"}, file: "target: :4", want: ":3"},
		"environment before short": {env: map[string]string{"RAGSCOPE_TARGET": ":3"}, file: "t: :4", want: ":3"},
		"flag before environment":  {flag: []string{"--target", ":2"}, env: map[string]string{"RAGSCOPE_TARGET": ":3"}, want: ":2"},
		"flag before file":         {flag: []string{"--target", ":2"}, file: "target: :4", want: ":2"},
		"short flag before file":   {flag: []string{"-t", ":2"}, file: "target: :4", want: ":2"},
		"flag before all":          {flag: []string{"--target", ":2"}, env: map[string]string{"RAGSCOPE_TARGET": ":3"}, file: "target: :4", want: ":2"},
		"flag with default value":  {flag: []string{"--target", ":1"}, file: "target: :4", want: ":1"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			args := c.flag
			if c.file != "" {
				args = append(args, "--config", write(t, c.file))
			}
			g, err := configure(t, args...)
			if err != nil || g.target != c.want {
				t.Errorf("target is %q, %v; want %q", g.target, err, c.want)
			}
		})
	}
}

func TestConfigurationFileFromEnvironment(t *testing.T) {
	t.Setenv("RAGSCOPE_CONFIG", write(t, "target: :4"))
	if g, err := configure(t); err != nil || g.target != ":4" {
		t.Errorf("target is %q, %v", g.target, err)
	}
}

func TestConfigurationOfEveryKind(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want got
	}{
		"empty file":          {"", got{":1", time.Minute, 97, false, nil}},
		"comment only":        {"# nothing yet\n", got{":1", time.Minute, 97, false, nil}},
		"all kinds":           {"target: name:uvicorn\nrun-time: 90s\nhz: 49\nquiet: true\ntag: [a, b]\n", got{"name:uvicorn", 90 * time.Second, 49, true, []string{"a", "b"}}},
		"quoted":              {"target: ':4'\nhz: \"49\"\n", got{":4", time.Minute, 49, false, nil}},
		"false":               {"quiet: false\n", got{":1", time.Minute, 97, false, nil}},
		"list over lines":     {"tag:\n  - 'POST /chat: p95 < 1s, always'\n  - b\n", got{":1", time.Minute, 97, false, []string{"POST /chat: p95 < 1s, always", "b"}}},
		"one value of a list": {"tag: a\n", got{":1", time.Minute, 97, false, []string{"a"}}},
		"empty list":          {"tag: []\n", got{":1", time.Minute, 97, false, nil}},
		"number as text":      {"target: 8000\n", got{"8000", time.Minute, 97, false, nil}},
		"large number":        {"hz: 20000000\n", got{":1", time.Minute, 20000000, false, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := configure(t, "--config", write(t, c.file))
			if err != nil {
				t.Fatal(err)
			}
			if g.target != c.want.target || g.duration != c.want.duration || g.hz != c.want.hz || g.quiet != c.want.quiet || !slices.Equal(g.tags, c.want.tags) {
				t.Errorf("flags are %+v, want %+v", g, c.want)
			}
		})
	}
}

// A list on the command line or in the environment replaces the file's: it is not added to it.
func TestListIsReplacedNotJoined(t *testing.T) {
	file := write(t, "tag: [c, d]")
	if g, err := configure(t, "--tag", "a", "--tag", "b", "--config", file); err != nil || !slices.Equal(g.tags, []string{"a", "b"}) {
		t.Errorf("flag: %v, %v", g.tags, err)
	}
	t.Setenv("RAGSCOPE_TAG", "e")
	if g, err := configure(t, "--config", file); err != nil || !slices.Equal(g.tags, []string{"e"}) {
		t.Errorf("environment: %v, %v", g.tags, err)
	}
}

func TestBadConfigurationIsWrongUsage(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string // all in the message
	}{
		"unknown key":               {"tarrget: :4", []string{"tarrget", "no flag of", "watch", "--help"}},
		"not YAML":                  {"target: [a", []string{"ragscope.yaml"}},
		"tab":                       {"target:\n\t- a", []string{"ragscope.yaml"}},
		"a list, no names":          {"- target\n- hz\n", []string{"ragscope.yaml"}},
		"a sentence":                {"watch everything", []string{"ragscope.yaml"}},
		"same key twice":            {"hz: 1\nhz: 2\n", []string{"ragscope.yaml", "hz"}},
		"no number":                 {"hz: often", []string{"hz", "often"}},
		"no duration":               {"run-time: soon", []string{"run-time", "soon"}},
		"duration without unit":     {"run-time: 60", []string{"run-time", "60"}},
		"no boolean":                {"quiet: perhaps", []string{"quiet", "perhaps"}},
		"no value":                  {"target:\n", []string{"target", "no value"}},
		"list for a flag of one":    {"target: [a, b]", []string{"target", "one value"}},
		"group":                     {"target: {port: 8000}", []string{"target", "value"}},
		"group in a list":           {"tag: [{a: b}]", []string{"tag", "value"}},
		"no value in a list":        {"tag: [a, null]\n", []string{"tag", "no value"}},
		"another command's heading": {"watch:\n  target: :4\n", []string{"watch", "no flag of"}},
		"first of two, always":      {"zz: 1\naa: 2\nmm: 3\n", []string{"aa"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := configure(t, "--config", write(t, c.file))
			if err == nil {
				t.Fatal("accepted")
			}
			if code := Exit(err); code != Usage {
				t.Errorf("exit code %d, want %d", code, Usage)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestMissingConfigurationFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.yaml")
	_, err := configure(t, "--config", path)
	if Exit(err) != Usage || !strings.Contains(err.Error(), path) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, exit code %d", err, Exit(err))
	}
	if _, err := configure(t, "--config", t.TempDir()); Exit(err) != Usage {
		t.Errorf("a folder as configuration: %v, exit code %d", err, Exit(err))
	}
}

func TestExitCodes(t *testing.T) {
	if OK != 0 || Failed != 1 || Usage != 2 || Environment != 3 {
		t.Error("the exit codes are fixed: scripts rest on them")
	}
	cause := errors.New("no right")
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"none":                 {nil, 0},
		"failed":               {&Error{Failed, cause}, 1},
		"usage":                {Wrong("--x: %w", cause), 2},
		"environment":          {NotAllowed(cause), 3},
		"wrapped":              {fmt.Errorf("attach: %w", NotAllowed(cause)), 3},
		"joined":               {errors.Join(errors.New("first"), NotAllowed(cause)), 3},
		"of the flag library":  {errors.New("flag provided but not defined: -x"), 2},
		"environment in usage": {Wrong("--out: %w", NotAllowed(cause)), 2},
	} {
		if code := Exit(c.err); code != c.want {
			t.Errorf("%s: exit code %d, want %d", name, code, c.want)
		}
	}
	if err := Wrong("--x: %w", cause); !errors.Is(err, cause) || err.Error() != "--x: no right" {
		t.Errorf("the cause is lost: %v", err)
	}
	var coder cli.ExitCoder
	if !errors.As(NotAllowed(cause), &coder) || coder.ExitCode() != Environment {
		t.Error("urfave/cli does not see the exit code")
	}
}

func TestLogFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		json   bool
		levels string // written of debug, info, warn and error, by first letter
	}{
		"default":    {nil, false, "iwe"},
		"debug":      {[]string{"--log-level", "debug"}, false, "diwe"},
		"warn":       {[]string{"--log-level", "warn"}, false, "we"},
		"upper case": {[]string{"--log-level", "ERROR"}, false, "e"},
		"json":       {[]string{"--log-format", "json"}, true, "iwe"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := logAll(t, c.args)
			if err != nil {
				t.Fatal(err)
			}
			var levels strings.Builder
			for line := range strings.Lines(out) {
				if c.json != json.Valid([]byte(line)) {
					t.Errorf("JSON is %t in %q", c.json, line)
				}
				levels.WriteByte(line[strings.Index(line, "said-")+len("said-")])
			}
			if levels.String() != c.levels {
				t.Errorf("levels %q, want %q", levels.String(), c.levels)
			}
		})
	}
	for _, args := range [][]string{{"--log-level", "loud"}, {"--log-level", ""}, {"--log-format", "xml"}, {"--log-format", ""}} {
		_, err := logAll(t, args)
		if Exit(err) != Usage || !strings.Contains(err.Error(), args[0]) || !strings.Contains(err.Error(), "use ") {
			t.Errorf("%v: %v, exit code %d", args, err, Exit(err))
		}
	}
}

// logAll returns what one message of every level leaves.
func logAll(t *testing.T, args []string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	app := &cli.App{
		Writer: io.Discard, ErrWriter: io.Discard, Flags: Flags(), ExitErrHandler: func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			log, err := Logger(c, &out)
			if err != nil {
				return err
			}
			log.Debug("said-d")
			log.Info("said-i")
			log.Warn("said-w")
			log.Error("said-e")
			return nil
		},
	}
	err := app.RunContext(t.Context(), append([]string{"program"}, args...))
	return out.String(), err
}

func TestEnv(t *testing.T) {
	if e := Env("overhead-budget"); !slices.Equal(e, []string{"RAGSCOPE_OVERHEAD_BUDGET"}) {
		t.Errorf("%v", e)
	}
	for _, f := range Flags() {
		if e, ok := f.(cli.DocGenerationFlag); !ok || !slices.Equal(e.GetEnvVars(), Env(f.Names()[0])) {
			t.Errorf("--%s is not read from %v", f.Names()[0], Env(f.Names()[0]))
		}
	}
}

func TestVersionIsOneWord(t *testing.T) {
	if v := Version(); v == "" || strings.ContainsAny(v, " \n") {
		t.Errorf("version %q", v)
	}
}
