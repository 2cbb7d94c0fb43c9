/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a thread sleeps in, as far as its system call and its state tell. Needs syscall.h and bpf_core_read.h. */
#ifndef RAGSCOPE_SLEEP_H
#define RAGSCOPE_SLEEP_H

enum sleep_kind {
	SLEEP_NONE,
	SLEEP_CALL,   /* another system call: a pipe, a child, … */
	SLEEP_EPOLL,  /* an event loop's rest */
	SLEEP_GIL,
	SLEEP_LOCK,   /* another futex */
	SLEEP_TIMER,  /* it asked to sleep */
	SLEEP_SOCKET, /* one call of a socket */
	SLEEP_POLL,   /* poll and select: of any descriptors */
	SLEEP_DISK,
	SLEEP_KERNEL, /* uninterruptible in something else than a file: memory, a lock of the kernel's */
	SLEEP_KINDS,
};

/* Of struct task_struct, in which kernel.h has no bit fields. */
struct task_struct___iowait {
	unsigned in_iowait : 1;
} __attribute__((preserve_access_index));

#define TASK_UNINTERRUPTIBLE 2

#if defined(__TARGET_ARCH_x86)
#define CALL_NONE(nr) ((long)(nr) == -1) /* an interrupt or a page fault */
#else
#define CALL_NONE(nr) ((int)(nr) == -1)
#endif

/* Calls that read or write files, or wait for what was written. */
static __always_inline bool of_files(u64 nr)
{
	switch (nr) {
#if defined(__TARGET_ARCH_x86)
	case 0: case 1: case 17: case 18: case 19: case 20: case 295: case 296: case 327: case 328: /* read write and their kin */
	case 26: case 74: case 75: case 162: case 277: case 306: /* msync fsync fdatasync sync sync_file_range syncfs */
	case 2: case 257: case 4: case 262: case 332: case 217: case 87: case 263: case 82: case 264: case 316: /* open stat getdents unlink rename */
	case 76: case 77: case 285: case 40: /* truncate ftruncate fallocate sendfile */
#else
	case 63: case 64: case 65: case 66: case 67: case 68: case 69: case 70: case 286: case 287:
	case 227: case 82: case 83: case 81: case 84: case 267:
	case 56: case 79: case 80: case 291: case 61: case 35: case 38: case 276:
	case 45: case 46: case 47: case 71:
#endif
		return true;
	}
	return false;
}

/* Of a thread that is going to sleep; its table of files is read without a lock, as all that may come of it is a wrong word. */
static __always_inline bool is_socket(struct task_struct *t, u32 fd)
{
	struct fdtable *table = t->files->fdt;
	struct file **fds = table->fd, *f = 0;

	if (fd >= table->max_fds)
		return false;
	bpf_probe_read_kernel(&f, sizeof(f), &fds[fd]);
	return f && (BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) == S_IFSOCK;
}

static __always_inline enum sleep_kind interruptible(struct task_struct *t, struct call c)
{
	switch (c.nr) {
#if defined(__TARGET_ARCH_x86)
	case 0: case 1: case 19: case 20: /* read write readv writev */
#else
	case 63: case 64: case 65: case 66:
#endif
		return is_socket(t, c.first) ? SLEEP_SOCKET : SLEEP_CALL;
#if defined(__TARGET_ARCH_x86)
	case 42: case 43: case 288: case 44: case 45: case 46: case 47: case 299: case 307: /* connect accept send recv */
#else
	case 203: case 202: case 242: case 206: case 207: case 211: case 212: case 243: case 269:
#endif
		return SLEEP_SOCKET;
#if defined(__TARGET_ARCH_x86)
	case 23: case 270: /* select of nothing is a sleep */
#else
	case 72:
#endif
		return c.first ? SLEEP_POLL : SLEEP_TIMER;
#if defined(__TARGET_ARCH_x86)
	case 7: case 271: /* poll ppoll */
#else
	case 73:
#endif
		return SLEEP_POLL;
#if defined(__TARGET_ARCH_x86)
	case 35: case 230: /* nanosleep clock_nanosleep */
#else
	case 101: case 115:
#endif
		return SLEEP_TIMER;
	}
	return SLEEP_CALL;
}

/* Runtime: where the GIL is in the process. */
static __always_inline enum sleep_kind sleep_kind(struct task_struct *t, struct call c, u64 runtime, u64 runtime_end)
{
	if (BPF_CORE_READ_BITFIELD((struct task_struct___iowait *)t, in_iowait))
		return SLEEP_DISK;
	if (t->__state & TASK_UNINTERRUPTIBLE)
		return !CALL_NONE(c.nr) && of_files(c.nr) ? SLEEP_DISK : SLEEP_KERNEL;
	if (CALL_NONE(c.nr))
		return SLEEP_KERNEL;
	switch (kind_of(c.nr)) {
	case EPOLL:
		return SLEEP_EPOLL;
	case FUTEX:
		return c.first >= runtime && c.first < runtime_end ? SLEEP_GIL : SLEEP_LOCK;
	default:
		return interruptible(t, c);
	}
}
#endif
