package target

import (
	"os"
	"path/filepath"
	"testing"
)

// A folder of PYTHONPATH holds another version of what the environment has, too: the one that is loaded counts, in
// whatever order the modules lie in memory.
func TestVersionOfTheLoadedModule(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"env/uvloop-0.23.0.dist-info", "env/httptools-0.9.0.dist-info", "env/Other_Name-1.0.dist-info", "own/uvloop-0.21.0.dist-info"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	parser, loop := "/env/httptools/parser/parser.so", "/own/uvloop/loop.so"
	for _, modules := range [][]string{{parser, loop}, {loop, parser}} {
		s := sites{root: root, known: map[string]map[string]string{}, found: map[string]string{}}
		for _, m := range modules {
			s.addAbove(m)
		}
		want := map[string]string{"uvloop": "0.21.0", "httptools": "0.9.0", "other-name": "1.0"}
		for name, version := range want {
			if s.found[name] != version {
				t.Errorf("modules %v: %s %q, want %s", modules, name, s.found[name], version)
			}
		}
	}
}
