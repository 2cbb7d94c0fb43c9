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
	program, args := programOf(argv)
	module, dir := "", cwd
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--app-dir="); ok {
			dir = absolute(v, cwd)
		} else if a == "--app-dir" && i+1 < len(args) {
			dir = absolute(args[i+1], cwd)
		}
		if m, app, ok := strings.Cut(a, ":"); ok && module == "" && isModule(m) && isModule(strings.TrimSuffix(app, "()")) {
			module, _, _ = strings.Cut(m, ".")
		}
	}
	script := scriptOf(argv)
	if module == "" && script != "" && !isServer(program) {
		dir = filepath.Dir(absolute(script, cwd))
	}
	for _, candidate := range []struct {
		name    string
		generic func(string) bool
	}{
		{module, isGenericModule},
		{filepath.Base(dir), isGenericDirectory},
		{module, never},
		{program, isServer},
		{strings.TrimSuffix(filepath.Base(exe), " (deleted)"), never},
	} {
		if n := label(candidate.name); n != "" && !candidate.generic(candidate.name) {
			return n
		}
	}
	return "unknown"
}

// programOf returns the program that a command line runs, looking through interpreters: the
// script without ".py", the module after -m, else the command; and its arguments.
func programOf(argv []string) (program string, args []string) {
	if len(argv) == 0 {
		return "", nil
	}
	command := filepath.Base(argv[0])
	if !strings.HasPrefix(command, "python") {
		return command, argv[1:]
	}
	for i := 1; i < len(argv); i++ {
		switch a := argv[i]; {
		case a == "-m" && i+1 < len(argv):
			return argv[i+1], argv[i+2:]
		case a == "-c":
			return command, nil
		case a == "-X" || a == "-W":
			i++ // has a value
		case !strings.HasPrefix(a, "-"):
			return strings.TrimSuffix(filepath.Base(a), ".py"), argv[i+1:]
		}
	}
	return command, nil
}

// scriptOf is the path of the script that an interpreter runs, "" for a module or a command.
func scriptOf(argv []string) string {
	for i, a := range argv {
		if i == 0 {
			if !strings.HasPrefix(filepath.Base(a), "python") {
				return ""
			}
			continue
		}
		if a == "-m" || a == "-c" {
			return ""
		}
		if !strings.HasPrefix(a, "-") {
			return a
		}
	}
	return ""
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
