/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whose code runs where a stack is taken: told to the agent just before the unwinder is entered. */
#ifndef RAGSCOPE_MOMENT_H
#define RAGSCOPE_MOMENT_H
#include "maps.h"

#define CTX_ENTERED 40 /* PyContext.ctx_entered, after an object's head and three pointers: 3.7 to 3.14 */

/*
 * A thread gets a Context of its own at its first need, which nobody enters; an event loop runs in it between its
 * steps. So whether the current one was entered tells the loop's own code from a task's, at every precision.
 */
static __always_inline bool entered(u64 context)
{
	u32 entered = 1;

	bpf_probe_read_user(&entered, sizeof(entered), (void *)(context + CTX_ENTERED));
	return entered != 0;
}

/*
 * The trigger of a stack calls this on the thread that the stack is of. It may run in an interrupt, in the middle of
 * another program of ours: it makes no storage, and what it writes there is what that program would write.
 */
static __always_inline void moment(void)
{
	struct target *c = current_target();
	struct thread unseen = {}, *t;
	struct event *e;
	u64 context, now;

	if (!c)
		return;
	now = bpf_ktime_get_ns();
	t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, 0);
	if (!t)
		t = &unseen; /* it has not left the CPU since it is watched */
	settle(c, t);
	context = current_context(c, t);
	e = reserve(EVENT_SAMPLE, now);
	if (!e)
		return;
	if (!c->runtime)
		e->flags = FLAG_FOREIGN;
	else if (context == 1)
		e->flags = FLAG_NO_THREAD;
	else if (context && !entered(context))
		e->flags = FLAG_BASE;
	else if (stale(c, context))
		e->flags = FLAG_STALE;
	e->context = context == 1 ? 0 : context;
	submit(e);
}
#endif
