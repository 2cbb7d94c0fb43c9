package target

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// serviceOf derives a name for the service from its oldest process.
func serviceOf(processes []Process) string {
	oldest := slices.MinFunc(processes, func(a, b Process) int {
		if a.StartTime != b.StartTime {
			if a.StartTime < b.StartTime {
				return -1
			}
			return 1
		}
		return a.PID - b.PID
	})
	if n := label(environment(oldest.PID, "OTEL_SERVICE_NAME")); n != "" {
		return n
	}
	cwd, _ := os.Readlink(procPath(oldest.PID, "cwd"))
	return serviceName(arguments(oldest.PID), cwd, oldest.Exe)
}

// serviceName prefers, in this order, what tells most: the first part of the application's
// module ("shop.main:app" → shop), the directory it is in, the module or script, the executable.
func serviceName(argv []string, cwd, exe string) string {
	run := parseCommand(argv)
	module, dir := "", cwd
	for i, a := range run.args {
		if v, ok := strings.CutPrefix(a, "--app-dir="); ok {
			dir = absolute(v, cwd)
		} else if a == "--app-dir" && i+1 < len(run.args) {
			dir = absolute(run.args[i+1], cwd)
		}
		if m, app, ok := strings.Cut(a, ":"); ok && module == "" && isModule(m) && isModule(strings.TrimSuffix(app, "()")) {
			module, _, _ = strings.Cut(m, ".")
		}
	}
	if module == "" && run.script != "" && !isServer(run.program) {
		dir = filepath.Dir(absolute(run.script, cwd))
	}
	for _, candidate := range []struct {
		name    string
		generic func(string) bool
	}{
		{module, isGenericModule},
		{filepath.Base(dir), isGenericDirectory},
		{module, never},
		{run.program, isServer},
		{filepath.Base(exe), never},
	} {
		if n := label(candidate.name); n != "" && !candidate.generic(candidate.name) {
			return n
		}
	}
	return "unknown"
}

// command is what a command line runs, seen through an interpreter.
type command struct {
	program string // the command, the script without ".py", or the module after -m
	script  string // the script's path, "" where there is none
	args    []string
}

func parseCommand(argv []string) command {
	if len(argv) == 0 {
		return command{}
	}
	// gunicorn with setproctitle: "gunicorn: master [shop.main:app]", one argument.
	if title, ok := strings.CutPrefix(argv[0], "gunicorn: "); ok {
		_, app, _ := strings.Cut(strings.TrimSuffix(title, "]"), "[")
		return command{program: "gunicorn", args: []string{app}}
	}
	first := filepath.Base(argv[0])
	if !strings.HasPrefix(first, "python") {
		return command{program: first, args: argv[1:]}
	}
	for i := 1; i < len(argv); i++ {
		switch a := argv[i]; {
		case a == "-m" && i+1 < len(argv):
			return command{program: argv[i+1], args: argv[i+2:]}
		case a == "-c":
			return command{program: first}
		case a == "-X" || a == "-W":
			i++ // has a value
		case !strings.HasPrefix(a, "-"):
			return command{program: strings.TrimSuffix(filepath.Base(a), ".py"), script: a, args: argv[i+1:]}
		}
	}
	return command{program: first}
}

// isModule says whether s can be a part of "module:app": a dotted name.
func isModule(s string) bool {
	return isIdentifier(strings.ReplaceAll(s, ".", "")) && (s[0] < '0' || s[0] > '9')
}

func isGenericModule(s string) bool {
	return slices.Contains([]string{"app", "main", "server", "api", "asgi", "wsgi", "application", "src", "run"}, s)
}

func isGenericDirectory(s string) bool {
	return slices.Contains([]string{"/", ".", "app", "code", "src", "srv", "root", "home", "tmp", "opt", "workspace", "bin", "current"}, s)
}

func isServer(s string) bool {
	return slices.Contains([]string{"uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "fastapi"}, s) || strings.HasPrefix(s, "python")
}

func never(string) bool { return false }

func absolute(path, cwd string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(cwd, path)
}

// label keeps what is harmless in a metric label and a file name; at most 64 bytes.
func label(s string) string {
	const longest = 64
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, s)
	s = strings.Trim(s, "-.")
	return s[:min(len(s), longest)]
}
