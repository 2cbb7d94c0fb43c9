package truth

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Every request that was answered is seen once, although the only worker is replaced after each forty:
// those of a worker's first two seconds are all that there are.
func TestRestartShort(t *testing.T) {
	row, err := RunRestart(context.Background(), t.TempDir(), 0, 8*time.Second)
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED, THE AGENT IS NOT HELD TO THE TRUTH: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := row.Modes[0]
	t.Logf("seen %d/%d, unexplained %.1f %%, %s %q %v", m.Seen, m.Sent, 100*ratio(m.Unexplained, m.Seconds), m.faults(), m.Notes, row.Losses)
	if m.Sent < 80 || m.Seen != m.Sent || m.Twice+m.WrongStatus+m.WrongEndpoint+m.Incomplete+m.SumViolations > 0 {
		t.Errorf("of %d requests: %s", m.Sent, m.faults())
	}
}
