package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// parse reads a command line, and returns what it printed, too.
func parse(t *testing.T, args ...string) (p Pyroscope, out string, err error) {
	t.Helper()
	var b bytes.Buffer
	app := &cli.App{
		Name: "program", Writer: &b, ErrWriter: &b, ExitErrHandler: func(*cli.Context, error) {},
		Commands: []*cli.Command{{
			Name:   "watch",
			Flags:  append(Flags(), PyroscopeFlags("Profiles", "the flame graphs")...),
			Action: func(c *cli.Context) error { p, err = PyroscopeOf(c); return err },
		}},
	}
	err = app.RunContext(t.Context(), append([]string{"program", "watch"}, args...))
	return p, b.String(), err
}

func TestPyroscopeFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	empty := filepath.Join(t.TempDir(), "empty")
	for path, text := range map[string]string{file: "me:secret:with:colons\n", empty: "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const url = "https://pyroscope.example"
	for _, test := range []struct {
		name  string
		args  []string
		user  string
		token string
		wrong string // in the error
	}{
		{name: "nothing"},
		{name: "the server alone", args: []string{"--pyroscope", url}},
		{name: "token", args: []string{"--pyroscope", url, "--pyroscope-token", "secret"}, token: "secret"},
		{name: "token in a file", args: []string{"--pyroscope", url, "--pyroscope-token", "@" + file}, token: "me:secret:with:colons"},
		{name: "basic auth in a file", args: []string{"--pyroscope", url, "--pyroscope-basic-auth", "@" + file}, user: "me secret:with:colons"},
		{name: "no colon", args: []string{"--pyroscope", url, "--pyroscope-basic-auth", "secret"}, wrong: "USER:PASSWORD"},
		{name: "no file", args: []string{"--pyroscope", url, "--pyroscope-token", "@" + file + "x"}, wrong: "no such file"},
		{name: "an empty file", args: []string{"--pyroscope", url, "--pyroscope-token", "@" + empty}, wrong: "is empty"},
		{name: "both", args: []string{"--pyroscope", url, "--pyroscope-token", "secret", "--pyroscope-basic-auth", "me:secret"}, wrong: "not both"},
		{name: "no scheme", args: []string{"--pyroscope", "me:secret@pyroscope:4040"}, wrong: "http://host:4040"},
		{name: "self-profile to nowhere", args: []string{"--self-profile"}, wrong: "--self-profile needs --pyroscope"},
		{name: "token for nowhere", args: []string{"--pyroscope-token", "secret"}, wrong: "--pyroscope-token needs --pyroscope"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _, err := parse(t, test.args...)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Fatalf("error %v, want one with %q", err, test.wrong)
				}
				if strings.Contains(err.Error(), "secret:") || strings.HasSuffix(err.Error(), "secret") {
					t.Errorf("the error %q repeats a secret", err)
				}
				return
			}
			if err != nil || p.Access.Token != test.token || strings.TrimSpace(p.Access.User+" "+p.Access.Password) != test.user {
				t.Errorf("%v: user %q, password %q, token %q", err, p.Access.User, p.Access.Password, p.Access.Token)
			}
		})
	}
}

func TestHelpHoldsNoSecrets(t *testing.T) {
	t.Setenv("RAGSCOPE_PYROSCOPE_TOKEN", "tok-secret")
	t.Setenv("RAGSCOPE_PYROSCOPE_BASIC_AUTH", "me:secret")
	_, out, err := parse(t, "--help")
	if err != nil || strings.Contains(out, "secret") || !strings.Contains(out, "RAGSCOPE_PYROSCOPE_TOKEN") {
		t.Errorf("%v, help:\n%s", err, out)
	}
}
