package ui

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// keptLines is how many lines of the log GET /logs has, as in Locust.
const keptLines = 500

// Logs is a slog.Handler that hands on what it gets and keeps the last lines.
type Logs struct {
	next  slog.Handler
	kept  *keptLog
	attrs string // " key=value"
}

type keptLog struct {
	mu    sync.Mutex
	lines []string
	host  string
}

// NewLogs returns a handler in front of next.
func NewLogs(next slog.Handler) *Logs {
	host, _ := os.Hostname()
	host, _, _ = strings.Cut(host, ".")
	return &Logs{next: next, kept: &keptLog{host: host}}
}

// Lines returns the last lines in Locust's form.
func (l *Logs) Lines() []string {
	if l == nil {
		return []string{}
	}
	l.kept.mu.Lock()
	defer l.kept.mu.Unlock()
	return append([]string{}, l.kept.lines...)
}

// Enabled implements slog.Handler.
func (l *Logs) Enabled(ctx context.Context, level slog.Level) bool { return l.next.Enabled(ctx, level) }

// Handle implements slog.Handler.
func (l *Logs) Handle(ctx context.Context, r slog.Record) error {
	line := fmt.Sprintf("[%s] %s/%s/loader: %s%s", strings.Replace(r.Time.Format("2006-01-02 15:04:05.000"), ".", ",", 1), l.kept.host, r.Level, r.Message, l.attrs)
	r.Attrs(func(a slog.Attr) bool {
		line += attribute(a)
		return true
	})
	l.kept.mu.Lock()
	l.kept.lines = append(l.kept.lines, line)
	if n := len(l.kept.lines) - keptLines; n > 0 {
		l.kept.lines = append([]string(nil), l.kept.lines[n:]...)
	}
	l.kept.mu.Unlock()
	return l.next.Handle(ctx, r)
}

func attribute(a slog.Attr) string { return fmt.Sprintf(" %s=%v", a.Key, a.Value) }

// WithAttrs implements slog.Handler.
func (l *Logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := &Logs{next: l.next.WithAttrs(attrs), kept: l.kept, attrs: l.attrs}
	for _, a := range attrs {
		out.attrs += attribute(a)
	}
	return out
}

// WithGroup implements slog.Handler.
func (l *Logs) WithGroup(name string) slog.Handler {
	return &Logs{next: l.next.WithGroup(name), kept: l.kept, attrs: l.attrs}
}
