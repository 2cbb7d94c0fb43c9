package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
)

// configure fills the flags that neither command line nor environment set: from --config, which
// is YAML or, when its name ends in .conf, of Locust's form; then, as Locust does, from
// locust.conf in the working directory and from ~/.locust.conf.
func configure(c *cli.Context) error {
	if path := c.String("config"); strings.HasSuffix(path, ".conf") {
		if err := fromConf(c, path); err != nil {
			return err
		}
	} else if err := command.Configure(c); err != nil {
		return err
	}
	files := []string{"locust.conf"}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".locust.conf"))
	}
	for _, f := range files {
		switch err := fromConf(c, f); {
		case err == nil:
			slog.Info("flags that were not given come from " + f)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if text, err := os.ReadFile("pyproject.toml"); err == nil && bytes.Contains(text, []byte("[tool.locust]")) {
		slog.Warn("[tool.locust] of pyproject.toml is not read: put it into locust.conf")
	}
	return nil
}

// fromConf reads a file of Locust's form: "users = 5" a line, also with a colon or a space; #
// and ; begin comments, [sections] mean nothing, a flag alone is true, [a, b] is a list.
func fromConf(c *cli.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return command.Wrong("read configuration: %w", err)
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "---") || strings.ContainsAny(line[:1], "#;[") {
			continue
		}
		name, value := confLine(line)
		if err := command.Fill(c, name, value); err != nil {
			return command.Wrong("%s:%d: %s: %w", path, number, name, err)
		}
	}
	return nil
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
	switch strings.ToLower(text) {
	case "true", "yes":
		return name, true
	case "false", "no":
		return name, false
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
