package stack

import (
	"context"
	"log/slog"
	"sync"
)

// unwinderLog passes the unwinder's messages on at debug level, whatever it thinks of them:
// it logs for a program of its own. The last error is kept for Start, whose error says only
// which program did not load, not why.
type unwinderLog struct {
	to *slog.Logger

	mu   sync.Mutex
	last string
}

func (l *unwinderLog) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || l.to.Enabled(ctx, slog.LevelDebug)
}

func (l *unwinderLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		l.mu.Lock()
		l.last = r.Message
		l.mu.Unlock()
	}
	l.to.DebugContext(ctx, r.Message, "from", "unwinder", "level", r.Level.String())
	return nil
}

// The unwinder logs text only: no attributes, no groups.
func (l *unwinderLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *unwinderLog) WithGroup(string) slog.Handler      { return l }

func (l *unwinderLog) lastError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
