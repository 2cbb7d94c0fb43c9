package stack

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowMemlock makes raising RLIMIT_MEMLOCK succeed, or at least look so.
//
// The unwinder raises the limit before every map and program, and gives up when it may not.
// Since Linux 5.11 BPF memory is not accounted there, so that without CAP_SYS_RESOURCE only
// this needless step stands in the way. A seccomp filter then answers it with success and
// lets every other system call through; it stays for the life of this process.
func allowMemlock(log *slog.Logger) error {
	raised := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	var old unix.Rlimit
	err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &raised, &old)
	if err == nil {
		return unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &old, nil)
	}
	if !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("raise RLIMIT_MEMLOCK: %w", err)
	}
	if err := ignoreMemlock(); err != nil {
		return fmt.Errorf("may not raise RLIMIT_MEMLOCK (%w): grant CAP_SYS_RESOURCE or start with LimitMEMLOCK=infinity", err)
	}
	log.Debug("RLIMIT_MEMLOCK may not be raised and need not be; a seccomp filter of this process answers the attempt")
	return nil
}

// ignoreMemlock installs, for all threads, a filter that answers
// prlimit64(_, RLIMIT_MEMLOCK, new != NULL, _) with 0 and allows everything else.
func ignoreMemlock() error {
	filter := memlockFilter(auditArch())
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // no_new_privs belongs to the thread that then installs the filter
	defer runtime.UnlockOSThread()
	install := func() unix.Errno {
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
		runtime.KeepAlive(filter)
		return errno
	}
	errno := install()
	if errno == unix.EACCES { // no CAP_SYS_ADMIN; the agent executes no setuid program
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
		errno = install()
	}
	if errno != 0 {
		return fmt.Errorf("install a seccomp filter: %w", errno)
	}
	return nil
}

func auditArch() uint32 {
	if runtime.GOARCH == "arm64" {
		return unix.AUDIT_ARCH_AARCH64
	}
	return unix.AUDIT_ARCH_X86_64
}

// memlockFilter is the classic BPF program. Offsets are those of struct seccomp_data:
// nr 0, arch 4, args 16 + 8 × index, each argument in two little-endian words.
func memlockFilter(arch uint32) []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	return []unix.SockFilter{
		{Code: load, K: 4},
		{Code: equal, K: arch, Jf: 9},
		{Code: load, K: 0},
		{Code: equal, K: unix.SYS_PRLIMIT64, Jf: 7},
		{Code: load, K: 16 + 8}, // resource
		{Code: equal, K: unix.RLIMIT_MEMLOCK, Jf: 5},
		{Code: load, K: 16 + 16}, // new limit: NULL only asks
		{Code: equal, K: 0, Jf: 2},
		{Code: load, K: 16 + 20},
		{Code: equal, K: 0, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO}, // errno 0: success
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
}
