// Package command is what the command lines of agent and loader share: the configuration
// file, logging, and exit codes.
//
// In: a cli.Context. Out: flags filled from file, a logger, an exit code. It knows no flag of
// either program but its own.
package command

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"
)

// Exit codes of both programs.
const (
	OK          = 0
	Failed      = 1 // thresholds were missed or requests failed
	Usage       = 2 // wrong usage
	Environment = 3 // the environment does not allow it
)

// Error carries the exit code of an error.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ExitCode makes the error end a urfave/cli program with its code.
func (e *Error) ExitCode() int { return e.Code }

// Wrong is an error of usage.
func Wrong(format string, args ...any) error { return &Error{Usage, fmt.Errorf(format, args...)} }

// NotAllowed is an error of the environment.
func NotAllowed(err error) error { return &Error{Environment, err} }

// Exit returns the code for the end of main: that of an Error, else Usage, since what
// urfave/cli itself refuses is usage.
func Exit(err error) int {
	var e *Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Code
	}
	return Usage
}

// Flags are the flags of both programs.
func Flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", EnvVars: []string{"RAGSCOPE_CONFIG"}, Usage: "YAML `FILE` with flags, `name: value`; flags and environment come first"},
		&cli.StringFlag{Name: "log-level", EnvVars: []string{"RAGSCOPE_LOG_LEVEL"}, Value: "info", Usage: "debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", EnvVars: []string{"RAGSCOPE_LOG_FORMAT"}, Value: "text", Usage: "text or json"},
	}
}

// Env names the environment variable of a flag.
func Env(flag string) []string {
	return []string{"RAGSCOPE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

// Configure fills the flags that neither command line nor environment set from the
// configuration file. Keys that are no flag of the command are an error.
func Configure(c *cli.Context) error {
	path := c.String("config")
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Wrong("read configuration: %w", err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(b, &values); err != nil {
		return Wrong("configuration %s: %s", path, yaml.FormatError(err, false, true))
	}
	for _, name := range slices.Sorted(maps.Keys(values)) { // in order: of two errors always the same is told
		if err := Fill(c, name, values[name]); err != nil {
			return Wrong("configuration %s: %s: %w", path, name, err)
		}
	}
	return nil
}

// Fill sets a flag that neither command line nor environment nor an earlier Fill has set. Lists are
// for flags that may be given again.
func Fill(c *cli.Context, name string, value any) error {
	flag := find(c, name)
	if flag == nil {
		return fmt.Errorf("no flag of %s; see --help", c.Command.FullName())
	}
	if c.IsSet(name) {
		return nil
	}
	list, many := value.([]any)
	if !many {
		list = []any{value}
	} else if f, ok := flag.(cli.DocGenerationSliceFlag); !ok || !f.IsSliceFlag() {
		return errors.New("it takes one value, not a list")
	}
	for _, v := range list {
		switch v.(type) {
		case nil:
			return errors.New("it has no value; give one or leave the line out")
		case map[string]any, []any:
			return errors.New("want a plain value, as the flag has it")
		}
		text := fmt.Sprint(v)
		if err := c.Set(flag.Names()[0], text); err != nil { // an alias has a value of its own
			return fmt.Errorf("%q: %w", text, err)
		}
	}
	return nil
}

// find returns the flag of that name or alias, nil where there is none.
func find(c *cli.Context, name string) cli.Flag {
	for _, f := range slices.Concat(c.Command.Flags, c.App.Flags) {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// Logger makes the logger that the flags ask for.
func Logger(c *cli.Context, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, Wrong("--log-level %s: use debug, info, warn or error", c.String("log-level"))
	}
	opts := &slog.HandlerOptions{Level: level}
	switch c.String("log-format") {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, Wrong("--log-format %s: use text or json", c.String("log-format"))
}

// Version is the module's version, or the commit of a build from a checkout.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	if revision != "" {
		return revision[:min(12, len(revision))] + dirty
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "development"
}
