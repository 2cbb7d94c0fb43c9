package target

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// installedPackages lists the distributions that the process can import, from the names of their
// *.dist-info and *.egg-info entries; nothing inside them is read. What is loaded wins over what
// merely lies in the virtual environment or the installation.
func installedPackages(pid, minor int, maps []mapping) map[string]string {
	s := sites{root: procPath(pid, "root"), known: map[string]map[string]string{}, found: map[string]string{}}
	for _, m := range maps {
		if strings.HasSuffix(m.path, ".so") {
			s.addAbove(m.path)
		}
	}
	python := "python3." + strconv.Itoa(minor)
	for _, prefix := range prefixes(pid) {
		for _, dir := range []string{
			"/lib/" + python + "/site-packages", "/lib64/" + python + "/site-packages",
			"/local/lib/" + python + "/dist-packages", "/lib/python3/dist-packages",
		} {
			s.add(prefix + dir)
		}
	}
	return s.found
}

// sites collects distributions from directories, which are paths as the process sees them.
type sites struct {
	root  string
	known map[string]map[string]string // directory → its distributions
	found map[string]string
}

// addAbove adds the directory that a loaded extension module was imported from: the nearest one
// above it that holds distributions, whatever its name. Of several versions of the module's own, this is the one in use.
func (s *sites) addAbove(module string) {
	const deepest = 5 // packages below packages
	dir := filepath.Dir(module)
	for range deepest {
		if s.add(dir) {
			inside, _, _ := strings.Cut(strings.TrimPrefix(module, dir+"/"), "/")
			if name := normalised(inside); s.known[dir][name] != "" {
				s.found[name] = s.known[dir][name]
			}
			return
		}
		dir = filepath.Dir(dir)
	}
}

// add says whether dir holds any distribution.
func (s *sites) add(dir string) bool {
	if list, ok := s.known[dir]; ok {
		return len(list) > 0
	}
	list := distributionsIn(resolveIn(s.root, dir))
	s.known[dir] = list
	for name, version := range list {
		if s.found[name] == "" {
			s.found[name] = version
		}
	}
	return len(list) > 0
}

func distributionsIn(dir string) map[string]string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close() //nolint:errcheck // read only
	names, _ := d.Readdirnames(-1)
	list := map[string]string{}
	for _, n := range names {
		if name, version, ok := distribution(n); ok {
			list[name] = version
		}
	}
	return list
}

var separators = regexp.MustCompile(`[-_.]+`)

// distribution reads "qdrant_client-1.15.0.dist-info" as ("qdrant-client", "1.15.0"), the name
// normalised as PEP 503 says.
func distribution(entry string) (name, version string, ok bool) {
	base, isWheel := strings.CutSuffix(entry, ".dist-info")
	if !isWheel {
		if base, ok = strings.CutSuffix(entry, ".egg-info"); !ok {
			return "", "", false
		}
	}
	name, version, ok = strings.Cut(base, "-")
	version, _, _ = strings.Cut(version, "-py") // of an egg: name-version-py3.11
	if !ok || name == "" || version == "" {
		return "", "", false
	}
	return normalised(name), version, true
}

func normalised(name string) string { return strings.ToLower(separators.ReplaceAllString(name, "-")) }

// prefixes lists the directories that hold the bin/ the process was started from. One with a
// pyvenv.cfg is a virtual environment and ends the list, unless it lets the system's packages in.
func prefixes(pid int) []string {
	root := procPath(pid, "root")
	candidates := []string{environment(pid, "VIRTUAL_ENV")}
	for i, a := range arguments(pid) {
		if i < 2 && strings.Contains(a, "/bin/") { // the interpreter, then perhaps a script beside it
			cwd, _ := os.Readlink(procPath(pid, "cwd"))
			candidates = append(candidates, filepath.Dir(filepath.Dir(absolute(a, cwd))))
		} else if i == 0 && !strings.Contains(a, "/") {
			for _, dir := range filepath.SplitList(environment(pid, "PATH")) {
				if _, err := os.Stat(resolveIn(root, dir+"/"+a)); err == nil {
					candidates = append(candidates, filepath.Dir(dir))
					break
				}
			}
		}
	}
	candidates = append(candidates, filepath.Dir(filepath.Dir(executable(pid))))
	var list []string
	for _, prefix := range candidates {
		if !filepath.IsAbs(prefix) {
			continue
		}
		list = append(list, prefix)
		cfg, err := os.ReadFile(resolveIn(root, prefix+"/pyvenv.cfg"))
		if err == nil && !letsSystemIn(string(cfg)) {
			break
		}
	}
	return list
}

// letsSystemIn reads include-system-site-packages of a pyvenv.cfg.
func letsSystemIn(cfg string) bool {
	for _, line := range strings.Split(cfg, "\n") {
		key, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(key) == "include-system-site-packages" {
			return strings.EqualFold(strings.TrimSpace(value), "true")
		}
	}
	return false
}

// resolveIn follows the symbolic links of path inside root. Leaving that to the kernel would
// resolve absolute links against the agent's own root. The result may not exist.
func resolveIn(root, path string) string {
	const mostLinks = 40 // as the kernel's MAXSYMLINKS
	rest := strings.Split(filepath.Clean("/"+path), "/")
	done := "/"
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" {
			continue
		}
		next := filepath.Join(done, part) // cleans "..", which thus cannot leave the root
		to, err := os.Readlink(root + next)
		if err != nil || links == mostLinks {
			done = next
			continue
		}
		links++
		rest = append(strings.Split(to, "/"), rest...)
		if strings.HasPrefix(to, "/") {
			done = "/"
		}
	}
	return root + done
}
