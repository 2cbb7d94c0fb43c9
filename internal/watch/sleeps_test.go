package watch

import (
	"testing"

	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/stack"
)

// What is told apart by its words after it was measured has the words that it is measured by.
func TestWordsOfSleeps(t *testing.T) {
	if stack.SleepGIL.String() != recording.WaitsForGIL {
		t.Errorf("%q is recorded, %q is looked for", stack.SleepGIL, recording.WaitsForGIL)
	}
}
