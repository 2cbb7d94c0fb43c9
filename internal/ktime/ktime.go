// Package ktime reads the kernel's clocks that Go's time does not tell.
//
// Out: times in ns. It keeps nothing.
package ktime

import "golang.org/x/sys/unix"

// Monotonic is CLOCK_MONOTONIC, the clock of the kernel side's events and of the --requests file.
func Monotonic() int64 { return read(unix.CLOCK_MONOTONIC) }

// Boot is CLOCK_BOOTTIME, the clock of the starts of processes: it goes on while the host is suspended.
func Boot() int64 { return read(unix.CLOCK_BOOTTIME) }

func read(clock int32) int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(clock, &ts) // cannot fail with these clocks
	return ts.Nano()
}
