// Package locusttest finds the real Locust that tests hold the loader against.
package locusttest

import (
	"os"
	"path/filepath"
	"testing"
)

// Bin is the folder of programs of the environment that .ci/setup makes: Locust 2.46.3, uvicorn, pandas and HdrHistogram's
// reader. It may not be there.
func Bin(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "ragscope", "test-venv-locust", "bin")
}

// Need is Bin where the environment is complete. Else the test is skipped; in CI it fails.
func Need(t testing.TB) string {
	t.Helper()
	bin := Bin(t)
	if _, err := os.Stat(filepath.Join(bin, "..", "stamp")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%v: .ci/setup makes it", err)
		}
		t.Skip("SKIPPED: NOT HELD AGAINST REAL LOCUST: .ci/setup makes the environment that this needs")
	}
	return bin
}
