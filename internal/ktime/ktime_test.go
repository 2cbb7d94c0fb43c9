package ktime

import (
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	mono, boot := Monotonic(), Boot()
	time.Sleep(2 * time.Millisecond)
	for name, went := range map[string]int64{"monotonic": Monotonic() - mono, "boot": Boot() - boot} {
		if went < int64(2*time.Millisecond) || went > int64(time.Minute) {
			t.Errorf("the %s clock went on by %d ns in a sleep of 2 ms", name, went)
		}
	}
	if boot < mono {
		t.Errorf("%d ns since the boot, of which the host was awake for %d", boot, mono)
	}
}
