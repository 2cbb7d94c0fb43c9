package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
)

// configure fills the flags that neither command line nor environment set: from --config, which
// is YAML or, when its name ends in .conf or .toml, of Locust's form; then, in the order of Locust's
// parser, from [tool.locust] of pyproject.toml and locust.conf in the working directory and from
// ~/.locust.conf.
func configure(c *cli.Context) error {
	path := c.String("config")
	read := map[string]func(*cli.Context, string) (bool, error){".conf": fromConf, ".toml": fromTOML}[filepath.Ext(path)]
	if read == nil {
		if err := command.Configure(c); err != nil {
			return err
		}
	} else if _, err := read(c, path); err != nil {
		return err
	}
	sources := []struct {
		path string
		read func(*cli.Context, string) (bool, error)
	}{{"pyproject.toml", fromTOML}, {"locust.conf", fromConf}}
	if home, err := os.UserHomeDir(); err == nil {
		sources = append(sources, sources[1])
		sources[2].path = filepath.Join(home, ".locust.conf")
	}
	for _, s := range sources {
		switch some, err := s.read(c, s.path); {
		case err == nil && some:
			slog.Info("flags that were not given come from " + s.path)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// fromTOML reads [tool.locust] of a TOML file; some says whether there is anything.
func fromTOML(c *cli.Context, path string) (some bool, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, command.Wrong("read configuration: %w", err)
	}
	var file struct {
		Tool any `toml:"tool"` // whatever other programs write there
	}
	if err := toml.Unmarshal(text, &file); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return false, command.Wrong("%s:%d:%d: %w", path, row, column, err)
		}
		return false, command.Wrong("%s: %w", path, err)
	}
	tools, _ := file.Tool.(map[string]any)
	values, _ := tools["locust"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(values)) { // in order: of two errors always the same is told
		if err := fill(c, strings.TrimLeft(name, "-"), values[name]); err != nil {
			return true, command.Wrong("%s: %s of [tool.locust]: %w", path, name, err)
		}
	}
	return len(values) > 0, nil
}

// fromConf reads a file of Locust's form: "users = 5" a line, also with a colon or a space; #
// and ; begin comments, [sections] mean nothing, a flag alone is true, [a, b] is a list.
func fromConf(c *cli.Context, path string) (some bool, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, command.Wrong("read configuration: %w", err)
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "---") || strings.ContainsAny(line[:1], "#;[") {
			continue
		}
		name, value := confLine(line)
		if err := fill(c, name, value); err != nil {
			return true, command.Wrong("%s:%d: %s: %w", path, number, name, err)
		}
	}
	return true, nil
}

// fill is command.Fill; switches take Locust's words.
func fill(c *cli.Context, name string, value any) error {
	isSwitch := slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool {
		_, is := f.(*cli.BoolFlag)
		return is && slices.Contains(f.Names(), name)
	})
	if word, ok := value.(string); ok && isSwitch {
		switch strings.ToLower(word) {
		case "true", "yes", "on":
			value = true
		case "false", "no", "off":
			value = false
		}
	}
	return command.Fill(c, name, value)
}

func confLine(line string) (name string, value any) {
	i := strings.IndexAny(line, "=: \t")
	if i < 0 {
		return strings.TrimLeft(line, "-"), true
	}
	name = strings.TrimLeft(line[:i], "-")
	text := strings.TrimSpace(line[i:])
	if text != "" && (text[0] == '=' || text[0] == ':') {
		text = strings.TrimSpace(text[1:])
	}
	if j := strings.Index(text, " #"); j >= 0 {
		text = strings.TrimSpace(text[:j])
	}
	if list, ok := strings.CutPrefix(text, "["); ok {
		var out []any
		for word := range strings.SplitSeq(strings.TrimSuffix(list, "]"), ",") {
			out = append(out, strings.Trim(strings.TrimSpace(word), `"'`))
		}
		return name, out
	}
	return name, strings.Trim(text, `"'`)
}

// missing is a file that -f names and that is not there, with Locust's exit code.
func missing(file string) error {
	if _, err := os.Stat(file); err != nil {
		return &command.Error{Code: command.Failed, Err: fmt.Errorf("could not find %q: %w; name a scenario file, or leave -f out for the suite's tasks", file, err)}
	}
	return nil
}
