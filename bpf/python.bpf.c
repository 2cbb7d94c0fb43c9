//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * CPython's execution contexts: which Context a thread runs, and where each Context came from.
 *
 *   CopyCurrent ─► COPY(parent, child)      a task, a callback or a thread's work is being made
 *   instead of it, where the births of callbacks are not needed:
 *   Task.__init__ ─► COPY, at the thread's next event
 *   copy_context ─► COPY                    a thread's work is being made
 *   New         ─► NEW(current, child)      a server gives each request a fresh Context
 *   Enter       ─► ENTER(outer, context)    the thread runs that context until its next ENTER, LOOP or sleep
 *   epoll_wait  ─► LOOP(context)            the loop has run all its callbacks; or a call of that context polls
 *   call_soon_threadsafe ─► COPY            uvloop: a thread has something done by the loop
 *
 * Context addresses are reused at once; only COPY and NEW give an address a birth.
 */
#include "headers/maps.h"

static __always_inline int enter(u64 context)
{
	struct target *c = current_target();
	struct timing timing;
	struct thread *t;

	if (!c)
		return 0;
	timing = timed(PROGRAM_ENTER);
	t = this_thread();
	settle(c, t);
	note(EVENT_ENTER, current_context(c, t), context, stale(c, context) ? FLAG_STALE : 0, timing.start);
	return spent(timing);
}

SEC("uprobe")
int enter_first(struct pt_regs *regs) /* the Context is the first argument */
{
	return enter(PT_REGS_PARM1(regs));
}

SEC("uprobe")
int enter_second(struct pt_regs *regs)
{
	return enter(PT_REGS_PARM2(regs));
}

SEC("uprobe")
int loop(struct pt_regs *regs)
{
	struct target *c = current_target();
	struct timing t;

	if (!c)
		return 0;
	t = timed(PROGRAM_LOOP);
	note(EVENT_LOOP, current_context(c, this_thread()), 0, 0, t.start);
	return spent(t);
}

/* A Context was born as the return value, while another was current. */
static __always_inline int born(u32 program, u8 type, u64 context)
{
	struct target *c = current_target();
	struct object key = object_at(context);
	struct timing t;

	if (!c)
		return 0;
	t = timed(program);
	if (c->context_type && type == EVENT_COPY)
		made_for(context, MADE_BY | (u32)bpf_get_current_pid_tgid());
	else if (c->by_task)
		bpf_map_delete_elem(&tasks, &key); /* of the task that had this address before */
	note(type, current_context(c, this_thread()), context, 0, t.start);
	return spent(t);
}

SEC("uretprobe")
int copied(struct pt_regs *regs)
{
	return born(PROGRAM_COPIED, EVENT_COPY, PT_REGS_RC(regs));
}

SEC("uretprobe")
int made(struct pt_regs *regs)
{
	return born(PROGRAM_MADE, EVENT_NEW, PT_REGS_RC(regs));
}

SEC("uprobe")
int task_init(struct pt_regs *regs)
{
	struct target *c = current_target();
	struct timing timing;
	struct thread *t;

	if (!c)
		return 0;
	timing = timed(PROGRAM_TASK_INIT);
	t = this_thread();
	if (!t)
		return 0;
	settle(c, t);
	t->task = PT_REGS_PARM1(regs);
	t->parent = acting_context(c, t);
	t->born = timing.start;
	return spent(timing);
}

/*
 * uvloop's call_soon_threadsafe returns the handle that it made. Where its Context is kept depends on the version,
 * what it is does not.
 */
#define HANDLE_WORDS 12

SEC("uretprobe")
int handle_made(struct pt_regs *regs)
{
	u64 words[HANDLE_WORDS], handle = PT_REGS_RC(regs);
	struct target *c = current_target();
	struct timing t;

	if (!c || !c->context_type)
		return 0;
	t = timed(PROGRAM_HANDLE);
	if (!handle || bpf_probe_read_user(words, sizeof(words), (void *)handle))
		return spent(t);
	for (int i = 2; i < HANDLE_WORDS; i++) {
		u64 context = words[i];

		if (!context || user_u64(context + 8) != c->context_type)
			continue;
		made_for(context, handle + 8 * i - c->task_context);
		note(EVENT_COPY, current_context(c, this_thread()), context, 0, t.start);
		break;
	}
	return spent(t);
}

/* An empty probe, to price a trap on this machine. */
SEC("uprobe")
int nothing(struct pt_regs *regs)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
