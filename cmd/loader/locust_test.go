package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ragscope/ragscope/internal/locust/locusttest"
)

// A real Locust and the loader send the same to the same server at the same time; scripts made
// for the files of the one must not notice the other.
func TestBesideRealLocust(t *testing.T) {
	bin := locusttest.Need(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(3 * time.Millisecond)
		switch r.URL.Path {
		case "/missing":
			http.Error(w, "no", http.StatusNotFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/moved":
			http.Redirect(w, r, "/search", http.StatusFound)
		default:
			_, _ = w.Write([]byte(`{"answer": "yes"}`))
		}
	}))
	defer api.Close()
	dir := t.TempDir()
	both := []string{"--host", api.URL, "-u", "4", "-r", "100", "-t", "4s", "--headless", "--csv-full-history", "--exit-code-on-error", "0"}
	locust := exec.Command(filepath.Join(bin, "locust"), append(both, "-f", "testdata/locustfile.py", "--csv", filepath.Join(dir, "locust"), "--json-file", filepath.Join(dir, "locust"))...)
	var said strings.Builder
	locust.Stderr = &said
	if err := locust.Start(); err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(dir, "loader")
	if code := loader(append(both, "--scenario", "testdata/locust.yaml", "--csv", ours, "--json-file", ours, "--hlog", ours+".hlog", "--only-summary")...); code != 0 {
		t.Errorf("the loader ended with %d", code)
	}
	if err := locust.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if out, err := exec.Command(filepath.Join(bin, "python"), "testdata/compare.py", filepath.Join(dir, "locust"), ours).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
