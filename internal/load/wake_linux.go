package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes one goroutine at an instant. It reads a timerfd through the runtime's network
// poller: Go's own timers fire in clumps about half a millisecond late, this one within some
// 50 µs, and without spinning.
type alarm struct {
	file *os.File
	buf  [8]byte
	late time.Duration // how late the timer wakes this goroutine, a running mean
	gap  time.Duration // between two calls, a running mean
	last time.Time     // call
}

const (
	// maxLate bounds the lead that the alarm takes: what is later is another program's turn on the CPU, and
	// waiting for that cannot be made up for.
	maxLate = 100 * time.Microsecond
	// minGap is the mean gap from which on a lead is taken: with shorter ones, at 5,000/s and more, so much
	// time would be spent turning that requests come late for want of CPU (0.69 to 0.88 cores at 10,000/s).
	minGap = 200 * time.Microsecond
)

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	return &alarm{file: os.NewFile(uintptr(fd), "timerfd")}, nil
}

// wait returns after d, or with the context's error when that ends first. The timer is set earlier
// by what it was late so far, and what is left then, some microseconds, is spent turning: else
// every gap between two arrivals that is shorter than the lateness would shrink to nothing, and
// those of a Poisson process would not be exponential any more.
func (a *alarm) wait(ctx context.Context, d time.Duration) error {
	begin, lead := time.Now(), a.late
	a.gap += (min(begin.Sub(a.last), time.Second) - a.gap) / 16
	if a.last = begin; a.gap < minGap {
		lead = 0
	}
	if d <= 0 {
		return ctx.Err()
	}
	if asleep := d - lead; asleep > 0 {
		if err := a.sleep(ctx, asleep); err != nil {
			return err
		}
		a.late += (min(time.Since(begin)-asleep, maxLate) - a.late) / 16
	}
	for time.Since(begin) < d {
		runtime.Gosched() // who was given a request meanwhile shall send it
	}
	return nil
}

func (a *alarm) sleep(ctx context.Context, d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	var set error
	conn, err := a.file.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { set = unix.TimerfdSettime(int(fd), 0, &spec, nil) })
	}
	if err := errors.Join(err, set); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = a.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := a.file.Read(a.buf[:]); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("wait for a timer: %w", err)
	}
	return nil
}

func (a *alarm) close() { _ = a.file.Close() }
