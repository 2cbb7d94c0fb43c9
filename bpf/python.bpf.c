//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * CPython's execution contexts: which Context a thread runs, and where each Context came from.
 *
 *   CopyCurrent ─► COPY(parent, child)      a task, a callback or a thread's work is being made
 *   Task.__init__ ─► COPY, at the thread's next event: cheaper, for tasks only
 *   New         ─► NEW(current, child)      a server gives each request a fresh Context
 *   Enter       ─► ENTER(context)           the thread runs that context until its next ENTER, LOOP or sleep
 *   epoll_wait  ─► LOOP                     the loop has run all its callbacks
 *
 * Context addresses are reused at once; only COPY and NEW give an address a birth.
 */
#include "headers/maps.h"

static __always_inline int note(u8 type, u64 context, u64 other)
{
	struct event *e = reserve(type);

	if (!e)
		return 0;
	e->context = context == 1 ? 0 : context;
	e->other = other;
	bpf_ringbuf_submit(e, wakeup());
	return 0;
}

SEC("uprobe")
int enter_first(struct pt_regs *regs) /* the Context is the first argument */
{
	return current_target() ? note(EVENT_ENTER, 0, PT_REGS_PARM1(regs)) : 0;
}

SEC("uprobe")
int enter_second(struct pt_regs *regs)
{
	return current_target() ? note(EVENT_ENTER, 0, PT_REGS_PARM2(regs)) : 0;
}

SEC("uprobe")
int loop(struct pt_regs *regs)
{
	return current_target() ? note(EVENT_LOOP, 0, 0) : 0;
}

SEC("uretprobe")
int copied(struct pt_regs *regs)
{
	struct target *c = current_target();

	return c ? note(EVENT_COPY, current_context(c), PT_REGS_RC(regs)) : 0;
}

SEC("uretprobe")
int made(struct pt_regs *regs)
{
	struct target *c = current_target();

	return c ? note(EVENT_NEW, current_context(c), PT_REGS_RC(regs)) : 0;
}

SEC("uprobe")
int task_init(struct pt_regs *regs)
{
	struct target *c = current_target();
	struct thread *t;
	u64 parent;

	if (!c)
		return 0;
	settle(c);
	parent = current_context(c);
	t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, 0);
	if (!t)
		return 0;
	t->task = PT_REGS_PARM1(regs);
	t->parent = parent == 1 ? 0 : parent;
	t->born = bpf_ktime_get_ns();
	return 0;
}

/* An empty probe, to price a trap on this machine. */
SEC("uprobe")
int nothing(struct pt_regs *regs)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
