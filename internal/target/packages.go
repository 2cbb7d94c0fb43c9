package target

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// installedPackages lists the distributions that the process can import, from the names of their
// *.dist-info and *.egg-info entries. The first site directory that has a distribution wins, as
// it does on Python's own path. Nothing inside them is read.
func installedPackages(pid, minor int, maps []mapping) map[string]string {
	found := map[string]string{}
	seen := map[string]bool{}
	for _, dir := range siteDirectories(pid, minor, maps) {
		if seen[dir] {
			continue
		}
		seen[dir] = true
		addDistributions(found, resolveIn(procPath(pid, "root"), dir))
	}
	return found
}

func addDistributions(found map[string]string, dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close() //nolint:errcheck // read only
	names, _ := d.Readdirnames(-1)
	for _, n := range names {
		if name, version, ok := distribution(n); ok && found[name] == "" {
			found[name] = version
		}
	}
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
	return strings.ToLower(separators.ReplaceAllString(name, "-")), version, true
}

// siteDirectories lists where packages may lie, as the process sees the paths: where its extension
// modules come from, then its virtual environment, then the installation's own.
func siteDirectories(pid, minor int, maps []mapping) []string {
	var dirs []string
	for _, m := range maps {
		for _, name := range []string{"/site-packages/", "/dist-packages/"} {
			if i := strings.Index(m.path, name); i >= 0 {
				dirs = append(dirs, m.path[:i+len(name)-1])
			}
		}
	}
	python := "python3." + strconv.Itoa(minor)
	for _, prefix := range prefixes(pid) {
		dirs = append(dirs,
			prefix+"/lib/"+python+"/site-packages", prefix+"/lib64/"+python+"/site-packages",
			prefix+"/local/lib/"+python+"/dist-packages", prefix+"/lib/python3/dist-packages")
	}
	return dirs
}

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
