package target

import (
	"bufio"
	"debug/buildinfo"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// RuntimeKind is what runs a process's code.
type RuntimeKind uint8

// The runtimes that are told apart. In what is none of them a thread is taken for what it is to the
// kernel.
const (
	OtherRuntime RuntimeKind = iota
	CPython
	NodeJS // JavaScript on one event loop: contexts only V8 knows
	JVM    // a thread may serve a request from its begin to its end
	Golang // goroutines, which move from thread to thread
)

// Runtime is a runtime and its version, "" where that is not known.
type Runtime struct {
	Kind    RuntimeKind
	Version string
}

// String is what reports say: "JVM 17.0.15", "Node.js", "not CPython".
func (r Runtime) String() string {
	name := map[RuntimeKind]string{CPython: "CPython", NodeJS: "Node.js", JVM: "JVM", Golang: "Go"}[r.Kind]
	if name == "" {
		return "not CPython"
	}
	return strings.TrimSpace(name + " " + r.Version)
}

// InspectRuntime looks at the files of a process in which InspectPython found no CPython. Where nothing
// is recognised, or nothing may be read, it is OtherRuntime.
func InspectRuntime(pid int) Runtime {
	maps, err := readMaps(pid)
	if err != nil {
		return Runtime{}
	}
	for _, m := range maps {
		switch base := filepath.Base(m.path); {
		case base == "libjvm.so":
			return Runtime{JVM, javaVersion(procPath(pid, "root"), m.path)}
		case strings.HasPrefix(base, "libnode.so"):
			return Runtime{Kind: NodeJS}
		}
	}
	if base := filepath.Base(executable(pid)); base == "node" || base == "nodejs" {
		return Runtime{Kind: NodeJS}
	}
	if info, err := buildinfo.ReadFile(procPath(pid, "exe")); err == nil {
		version, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
		return Runtime{Golang, version}
	}
	return Runtime{}
}

// javaVersion reads the release file that lies beside lib/server/libjvm.so: JAVA_VERSION="17.0.15".
func javaVersion(root, libjvm string) string {
	f, err := os.Open(root + path.Join(path.Dir(libjvm), "../../release"))
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // read only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "JAVA_VERSION="); ok {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}
