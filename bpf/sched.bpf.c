//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * When the target's threads do not run, and why.
 *
 *   switched out ─► sleeping in epoll or for the GIL ─► woken ─► switched in: SWITCH
 *               ├─► sleeping in anything else: SLEEP ─► woken ─► switched in: SWITCH
 *               └─► preempted ─────────────────────────────────► switched in: SWITCH
 *
 * How long it slept and in what is left with the thread, for the off-CPU profile (offcpu.bpf.c).
 */
#include "headers/maps.h"
#include "headers/syscall.h"
#include "headers/sleep.h"

static __always_inline bool watched(struct task_struct *t)
{
	return target_of(t->tgid) != 0;
}

static __always_inline u8 sleeps_in(struct task_struct *task, struct target *c, struct thread *t)
{
	struct call call = call_of(task);

	t->kind = sleep_kind(task, call, c->runtime, c->runtime_end);
	switch (t->kind) {
	case SLEEP_EPOLL:
		return FLAG_EPOLL;
	case SLEEP_GIL:
		return FLAG_GIL;
	case SLEEP_LOCK:
		t->lock = call.first;
		return FLAG_FUTEX;
	default:
		return sends(call.nr) ? FLAG_SENDING : 0;
	}
}

/*
 * A worker thread leaves its context without a trap; when it then sleeps, the context that is current
 * tells whether it still works for a request.
 */
static __always_inline void sleep_event(struct target *c, struct thread *t, u64 now)
{
	u64 context = current_context(c, t);
	struct event *e;

	if (context == 1)
		return; /* a C thread */
	e = reserve(EVENT_SLEEP, now);
	if (!e)
		return;
	e->context = context;
	e->other = t->lock;
	submit(e);
}

static __always_inline void leaves(struct target *c, struct task_struct *prev, bool preempt, u64 now)
{
	struct thread *t = bpf_task_storage_get(&threads, prev, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t) {
		count(COUNT_STORAGE_FULL);
		return;
	}
	t->off = now;
	t->woken = 0;
	t->waker = 0;
	t->lock = 0;
	t->flags = preempt || !prev->__state ? FLAG_PREEMPTED : sleeps_in(prev, c, t);
	if (!(t->flags & (FLAG_PREEMPTED | FLAG_EPOLL | FLAG_GIL)))
		sleep_event(c, t, now);
}

static __always_inline void comes(struct task_struct *next, u64 now)
{
	struct thread *t = bpf_task_storage_get(&threads, next, 0, 0);
	struct event *e;

	if (!t || !t->off)
		return;
	t->slept = t->flags & FLAG_PREEMPTED ? 0 : now - t->off;
	e = reserve(EVENT_SWITCH, now);
	if (e) {
		e->pid = next->tgid;
		e->tid = next->pid;
		e->arrive = t->off;
		e->context = t->lock;
		e->other = t->woken;
		e->len = t->waker;
		e->flags = t->flags;
		submit(e);
	}
	t->off = 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct target *c = target_of(prev->tgid);
	bool to = watched(next);
	struct timing t;

	if (!c && !to)
		return 0;
	t = timed(PROGRAM_SCHED_SWITCH);
	if (c)
		leaves(c, prev, preempt, t.start);
	if (to)
		comes(next, t.start);
	return spent(t);
}

/*
 * Not sched_wakeup: that may run on the CPU that the thread will run on, where nobody knows who wakes it. A
 * timer's interrupt wakes in the name of whoever runs.
 */
SEC("tp_btf/sched_waking")
int BPF_PROG(sched_waking, struct task_struct *p)
{
	u64 waker = bpf_get_current_pid_tgid();
	struct thread *t;

	if (!watched(p))
		return 0;
	t = bpf_task_storage_get(&threads, p, 0, 0);
	if (!t || !t->off || t->woken)
		return 0;
	t->woken = bpf_ktime_get_ns();
	if (waker >> 32 == p->tgid)
		t->waker = waker;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
