package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Versions of what is built from source; the others are in api/requirements.txt and graph/pom.xml.
const (
	ollamaModule = "github.com/ollama/ollama@v0.6.5" // later ones miss files in their module zip
	ollamaFlags  = "-O3 -march=native"               // without them no AVX: 25 times slower
)

// installSteps brings what is missing onto this machine. Each is quick when it has nothing to do.
func installSteps(s settings, f *family) []step {
	steps := []step{
		{"debian", nil, func(ctx context.Context) (string, error) { return installDebian(ctx, s, f) }},
		{"python", []string{"debian"}, func(ctx context.Context) (string, error) { return installPython(ctx, s, f) }},
		{"llm-server", []string{"debian"}, func(ctx context.Context) (string, error) { return buildOllama(ctx, s, f) }},
		{"vector-db", nil, func(ctx context.Context) (string, error) { return buildQdrant(ctx, s, f) }},
		{"models", []string{"python"}, func(ctx context.Context) (string, error) { return unpackModels(ctx, s, f) }},
		{"corpus", []string{"debian"}, func(ctx context.Context) (string, error) { return makeCorpus(ctx, s, f) }},
	}
	if graphOff(s) == "" {
		steps = append(steps, step{"graph-db", nil, func(ctx context.Context) (string, error) { return buildGraph(ctx, s, f) }})
	}
	return steps
}

// onlyOnce runs make when the stamp beside path does not carry key, and stamps it afterwards.
func onlyOnce(path, key string, make func() error) (again bool, err error) {
	stamp := path + ".stamp"
	if old, err := os.ReadFile(stamp); err == nil && string(old) == key {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return true, err
	}
	if err := make(); err != nil {
		return true, err
	}
	return true, writeFile(stamp, []byte(key))
}

// writeFile writes to a temporary name and renames, so that no half a file is ever seen.
func writeFile(path string, content []byte) error {
	temporary := path + ".part"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// hash is a short name for some content.
func hash(parts ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\x00"))))[:16]
}

// installDebian installs the packages whose programs are missing, with sudo only where we are not root.
func installDebian(ctx context.Context, s settings, f *family) (string, error) {
	wanted := []struct{ program, pkg string }{{"redis-server", "redis-server"}, {"g++", "g++"}, {"gcc", "gcc"}}
	if s.usePrometheus {
		wanted = append(wanted, struct{ program, pkg string }{"prometheus", "prometheus"})
	}
	var missing []string
	for _, w := range wanted {
		if _, err := exec.LookPath(w.program); err != nil {
			missing = append(missing, w.pkg)
		}
	}
	if err := exec.CommandContext(ctx, s.python, "-c", "import venv, ensurepip").Run(); err != nil {
		missing = append(missing, "python3-venv")
	}
	if len(missing) == 0 {
		return "all there", nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", unavailable("this machine lacks %s and has no apt-get: install them, then run this again", strings.Join(missing, ", "))
	}
	var sudo []string
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("sudo"); err != nil {
			return "", unavailable("this machine lacks %s, and installing needs root or sudo: run as root 'apt-get install %s', then run this again",
				strings.Join(missing, ", "), strings.Join(missing, " "))
		}
		sudo = []string{"sudo", "DEBIAN_FRONTEND=noninteractive"}
	}
	for i, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, missing...)} {
		p := program{
			name: fmt.Sprintf("apt-%d", i+1), argv: append(append(sudo, "apt-get"), args...),
			env: []string{"DEBIAN_FRONTEND=noninteractive"}, terminal: len(sudo) > 0,
		}
		if err := f.run(ctx, p); err != nil {
			return "", fmt.Errorf("install %s: %w", strings.Join(missing, ", "), err)
		}
	}
	return "installed " + strings.Join(missing, ", "), nil
}

func venv(s settings) string { return s.cached("venv") }

func venvBin(s settings, name string) string { return filepath.Join(venv(s), "bin", name) }

func installPython(ctx context.Context, s settings, f *family) (string, error) {
	requirements := filepath.Join(s.demoDir(), "api/requirements.txt")
	wanted, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, s.python, "-c", "import sys; print(sys.version, sys.base_prefix)").Output()
	if err != nil {
		return "", unavailable("DEMO_PYTHON=%s does not run: %v", s.python, err)
	}
	made, err := onlyOnce(venv(s), hash(string(wanted), string(version)), func() error {
		if err := f.run(ctx, program{name: "venv", argv: []string{s.python, "-m", "venv", "--clear", venv(s)}}); err != nil {
			return err
		}
		return f.run(ctx, program{name: "pip", argv: []string{venvBin(s, "pip"), "install", "--disable-pip-version-check",
			"--no-input", "-r", requirements}})
	})
	return cachedOr(made, "packages of the API installed"), err
}

func cachedOr(made bool, what string) string {
	if made {
		return what
	}
	return "cached"
}

func ollamaBinary(s settings) string { return s.cached("ollama-0.6.5/ollama") }

// buildOllama takes minutes. The stamp carries the CPU's features: -march=native code does not run on a lesser CPU.
func buildOllama(ctx context.Context, s settings, f *family) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", unavailable("go is not in PATH: it is needed to build Ollama")
	}
	binary := ollamaBinary(s)
	made, err := onlyOnce(binary, hash(ollamaModule, ollamaFlags, runtime.GOARCH, cpuFeatures()), func() error {
		return f.run(ctx, program{
			name: "ollama-build",
			argv: []string{"nice", "-n", "5", "go", "install", ollamaModule},
			env: []string{"GOBIN=" + filepath.Dir(binary), "GOFLAGS=", "CGO_ENABLED=1",
				"CGO_CFLAGS=" + ollamaFlags, "CGO_CXXFLAGS=" + ollamaFlags},
			dir: s.cache, // outside the module
		})
	})
	return cachedOr(made, "Ollama built"), err
}

func cpuFeatures() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "flags") || strings.HasPrefix(line, "Features") {
			return line
		}
	}
	return ""
}

func qdrantBinary(s settings) string { return filepath.Join(s.state, "bin/qdrant") }

func buildQdrant(ctx context.Context, s settings, f *family) (string, error) {
	return "stand-in for Qdrant built", f.run(ctx, program{
		name: "qdrant-build", argv: []string{"go", "build", "-o", qdrantBinary(s), "./deploy/demo/qdrant"}, dir: s.root,
	})
}

func graphClasspath(s settings) string {
	return s.cached("neo4j/classes") + ":" + s.cached("neo4j/lib") + "/*"
}

// graphOff says why the stack has no graph, or "".
func graphOff(s settings) string {
	if !s.useGraph {
		return "DEMO_GRAPH=off"
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "Maven (mvn) is not installed: apt-get install maven openjdk-17-jdk-headless"
	}
	text, err := exec.Command("javac", "-version").CombinedOutput()
	if err != nil {
		return "no Java compiler (javac) is installed: apt-get install openjdk-17-jdk-headless"
	}
	if version := javaVersion(string(text)); version < 17 {
		return fmt.Sprintf("Java %d is too old, 17 is needed: apt-get install openjdk-17-jdk-headless", version)
	}
	return ""
}

// javaVersion reads the major version out of "javac 17.0.16" or "javac 1.8.0_392"; 0 when there is none.
func javaVersion(text string) int {
	_, version, _ := strings.Cut(strings.TrimSpace(text), " ")
	major, rest, _ := strings.Cut(version, ".")
	if major == "1" {
		major, _, _ = strings.Cut(rest, ".")
	}
	n, err := strconv.Atoi(strings.TrimRight(major, "-ea"))
	if err != nil {
		return 0
	}
	return n
}

func buildGraph(ctx context.Context, s settings, f *family) (string, error) {
	source := filepath.Join(s.demoDir(), "graph")
	pom, err := os.ReadFile(filepath.Join(source, "pom.xml"))
	main, errMain := os.ReadFile(filepath.Join(source, "src/main/java/demo/Graph.java"))
	if err := errors.Join(err, errMain); err != nil {
		return "", err
	}
	made, err := onlyOnce(s.cached("neo4j"), hash(string(pom), string(main)), func() error {
		if err := os.RemoveAll(s.cached("neo4j")); err != nil {
			return err
		}
		return f.run(ctx, program{name: "neo4j-build", dir: source, argv: []string{
			"mvn", "-B", "-q", "-Ddemo.out=" + s.cached("neo4j"), "compile", "dependency:copy-dependencies",
		}})
	})
	return cachedOr(made, "Neo4j resolved and compiled"), err
}
