/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The system call that a thread is in, from the registers that it saved when it entered the kernel. */
#ifndef RAGSCOPE_SYSCALL_H
#define RAGSCOPE_SYSCALL_H

struct call {
	u64 nr, first, second, third;
};

static __always_inline struct call call_of(struct task_struct *t)
{
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(t);

#if defined(__TARGET_ARCH_x86)
	return (struct call){ r->orig_ax, r->di, r->si, r->dx };
#else
	return (struct call){ r->syscallno, r->orig_x0, r->regs[1], r->regs[2] };
#endif
}

enum call_kind { OTHER, BUFFER, IOVEC, MESSAGE, EPOLL, FUTEX };

static __always_inline enum call_kind kind_of(u64 nr)
{
	switch (nr) {
#if defined(__TARGET_ARCH_x86)
	case 0: case 1: case 44: case 45: /* read write sendto recvfrom */
		return BUFFER;
	case 19: case 20: /* readv writev */
		return IOVEC;
	case 46: case 47: /* sendmsg recvmsg */
		return MESSAGE;
	case 232: case 281: case 441: /* epoll_wait epoll_pwait epoll_pwait2 */
		return EPOLL;
	case 202:
		return FUTEX;
#else
	case 63: case 64: case 206: case 207:
		return BUFFER;
	case 65: case 66:
		return IOVEC;
	case 211: case 212:
		return MESSAGE;
	case 22: case 441:
		return EPOLL;
	case 98:
		return FUTEX;
#endif
	}
	return OTHER;
}

/* Whether it sends to a socket; write and writev may be to anything. */
static __always_inline bool sends(u64 nr)
{
#if defined(__TARGET_ARCH_x86)
	return nr == 44 || nr == 46; /* sendto sendmsg */
#else
	return nr == 206 || nr == 211;
#endif
}
#endif
