package flame

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The script lays the graph out for the window it is in.
func TestInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	file := filepath.Join(t.TempDir(), "cpu.svg")
	if err := WriteFile(file, sampled(), Options{Title: "rag-api"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--user-data-dir="+t.TempDir(), "--window-size=600,700", "--dump-dom", "file://"+file).Output()
	if err != nil {
		t.Skipf("chromium does not run here: %v", err)
	}
	dom := string(out)
	if got := regexp.MustCompile(`viewBox="0 0 (\d+) `).FindStringSubmatch(dom); got == nil || got[1] != "600" {
		t.Errorf("the drawing is %v wide, want the window's 600", got)
	}
	for _, want := range []string{`placeholder="Search functions and files ( / )"`, `>rag-api · CPU time by endpoint<`} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(dom, "NaN") || strings.Contains(dom, "undefined") {
		t.Error("the script calculated with nothing")
	}
}
