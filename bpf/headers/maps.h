/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Maps that several objects share: the agent makes them once and hands them to each. */
#ifndef RAGSCOPE_MAPS_H
#define RAGSCOPE_MAPS_H
#include "event.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

/* Watched processes, by tgid. 256: more workers than a host has cores. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, struct target);
} targets SEC(".maps");

/*
 * A bit for each tgid, asked before targets: most switches and transfers of a host are of processes that nobody
 * watches, and an array's look-up is inlined where a hash's is a call. A bit that is left set costs that call and
 * no more. PID_LIMIT is Linux's PID_MAX_LIMIT of 64 bits, so that no two processes share a bit: 512 KiB each.
 *
 * Two arrays, each with one writer, as the agent can only put a word of 64 back, without what was added meanwhile.
 */
#define PID_LIMIT (4 << 20)
struct tgids {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PID_LIMIT / 64);
	__type(key, u32);
	__type(value, u64);
};
struct tgids candidates SEC(".maps"); /* watched by the agent */
struct tgids children SEC(".maps");   /* forked by a target, see process.bpf.c */

static __always_inline struct target *target_of(u32 tgid)
{
	u32 word = tgid / 64;
	u64 *candidate = bpf_map_lookup_elem(&candidates, &word), *child = bpf_map_lookup_elem(&children, &word);

	if (!candidate || !child || !((*candidate | *child) >> tgid % 64 & 1))
		return 0;
	return bpf_map_lookup_elem(&targets, &tgid);
}

/* 8 MiB: 0.25 s of 100,000 events/s with 300 bytes each. It is in the agent's memory twice. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT_MAX);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

/*
 * What each program cost. Each run is counted; its time is taken for one run in sixteen, as the clock decides:
 * reading the clock twice every time would be a tenth of the price.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROGRAM_MAX);
	__type(key, u32);
	__type(value, struct runs);
} costs SEC(".maps");

struct timing {
	struct runs *runs; /* 0: this run is not timed */
	u64 start;
};

static __always_inline struct timing timed(u32 program)
{
	struct runs *r = bpf_map_lookup_elem(&costs, &program);
	struct timing t = { .start = bpf_ktime_get_ns() };

	if (!r)
		return t;
	r->count++;
	if (!(t.start >> 4 & 15))
		t.runs = r;
	return t;
}

static __always_inline int spent(struct timing t)
{
	if (t.runs) {
		t.runs->timed++;
		t.runs->ns += bpf_ktime_get_ns() - t.start;
	}
	return 0;
}

/* What we remember of a thread; freed with it. */
struct thread {
	u64 tstate;	/* its PyThreadState, checked at each use */
	u64 off, woken; /* since when it is off the CPU, when it became runnable again */
	u64 task, parent, born; /* a task under construction: see settle() */
	u64 work;	/* of an executor, that it has got */
	u64 lock; /* that it sleeps in; 0: none */
	u64 slept; /* the sleep that it comes back from, ns, for offcpu.bpf.c, which takes it away */
	u32 waker;
	u32 dither; /* offcpu.bpf.c's, see stands_for() */
	u8 flags;
	u8 kind;   /* enum sleep_kind, of its last sleep */
	u8 met;	   /* offcpu.bpf.c has seen to it that its process is met */
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

static __always_inline void add(u32 what, u64 n)
{
	u64 *v = bpf_map_lookup_elem(&counters, &what);

	if (v)
		*v += n;
}

static __always_inline void count(u32 what)
{
	add(what, 1);
}

static __always_inline struct target *current_target(void)
{
	return target_of(bpf_get_current_pid_tgid() >> 32);
}

static __always_inline void fill(struct event *e, u8 type, u64 now)
{
	u64 id = bpf_get_current_pid_tgid();

	__builtin_memset(e, 0, sizeof(*e));
	e->type = type;
	e->time = now;
	e->pid = id >> 32;
	e->tid = id;
}

static __always_inline struct event *reserve(u8 type, u64 now)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count(COUNT_RINGBUF_FULL);
		return 0;
	}
	fill(e, type, now);
	return e;
}

static __always_inline u64 thread_pointer(struct task_struct *t)
{
#if defined(__TARGET_ARCH_x86)
	return t->thread.fsbase;
#else
	return t->thread.uw.tp_value;
#endif
}

static __always_inline u64 user_u64(u64 at)
{
	u64 v = 0;

	bpf_probe_read_user(&v, sizeof(v), (void *)at);
	return v;
}

/* Nobody is woken for an event: the agent looks every few milliseconds, and a wake-up costs more than the event. */
static __always_inline void submit(void *e)
{
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline struct thread *this_thread(void)
{
	struct thread *t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t)
		count(COUNT_STORAGE_FULL);
	return t;
}

/* A thread state's id and context lie so close to each other that one read gets both. */
#define STATE_WORDS 16

struct state {
	u64 word[STATE_WORDS];
};

static __always_inline u64 find_state(struct target *c, u64 self)
{
	u64 interp = user_u64(c->runtime + c->interp_head);
	u64 ts = interp ? user_u64(interp + c->threads) : 0;

	for (int i = 0; i < 128 && ts; i++) { /* anyio's pool has 40 threads */
		if (user_u64(ts + c->thread_id) == self)
			break;
		ts = user_u64(ts + c->next);
	}
	return ts;
}

/*
 * The contextvars.Context that is current on this thread, read from CPython's memory:
 * _PyRuntime -> interpreter -> list of thread states -> the one with our thread pointer.
 * Returns 1 where the thread has no thread state (C threads), 0 where no Context is entered.
 */
static __always_inline u64 current_context(struct target *c, struct thread *t)
{
	u64 self, at = (c->context - c->thread_id) / 8;
	struct state s = {};

	if (!c->runtime || !t)
		return 0;
	self = thread_pointer(bpf_get_current_task_btf());
	if (t->tstate)
		bpf_probe_read_user(&s, sizeof(s), (void *)(t->tstate + c->thread_id));
	if (!t->tstate || s.word[0] != self) {
		t->tstate = find_state(c, self);
		if (t->tstate)
			bpf_probe_read_user(&s, sizeof(s), (void *)(t->tstate + c->thread_id));
		if (!t->tstate || s.word[0] != self) {
			t->tstate = 0;
			count(COUNT_THREAD_UNKNOWN);
			return 1;
		}
	}
	if (at >= STATE_WORDS)
		return user_u64(t->tstate + c->context);
	barrier_var(at); /* or the compiler checks a copy and the verifier sees no bound */
	return s.word[at & (STATE_WORDS - 1)];
}

/* Something in the memory of a process: another that was forked from the same one has its own at this address. */
struct object {
	u64 at;
	u32 tgid, unused;
};

static __always_inline struct object object_at(u64 at)
{
	return (struct object){ .at = at, .tgid = bpf_get_current_pid_tgid() >> 32 };
}

/*
 * What each context was made for: the task, or what else has a reference to it as many bytes from its start; or
 * MADE_BY and the thread that made it. 16,384 alive at once; an evicted one is trusted unchecked.
 */
#define MADE_BY (1ULL << 63)
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct object);
	__type(value, u64);
} tasks SEC(".maps");

static __always_inline void made_for(u64 context, u64 owner)
{
	struct object key = object_at(context);

	bpf_map_update_elem(&tasks, &key, &owner, BPF_ANY);
}

/*
 * A task gets its context while it is made, after our trap at the begin of its making; so the link is
 * made at the thread's next event, and no second trap is needed.
 */
static __always_inline void settle(struct target *c, struct thread *t)
{
	struct event *e;
	u64 context, task;

	if (!c->by_task || !t || !t->task)
		return;
	task = t->task;
	context = user_u64(task + c->task_context);
	if (!context)
		return; /* still being made: the thread was preempted in it */
	t->task = 0;
	made_for(context, task);
	if (c->by_task == BY_TASK_KNOWN)
		return;
	e = reserve(EVENT_COPY, t->born);
	if (!e)
		return;
	e->context = t->parent;
	e->other = context;
	submit(e);
}

/*
 * Whether what a context was made for holds it no more. One that was made to be run by another thread, while the
 * births of callbacks are not seen, is taken for a callback's when its maker runs it.
 */
static __always_inline bool stale(struct target *c, u64 context)
{
	struct object key;
	u64 *task;

	if (!c->by_task || context < 2)
		return false;
	key = object_at(context);
	task = bpf_map_lookup_elem(&tasks, &key);
	if (!task)
		return false;
	if (*task & MADE_BY)
		return (u32)*task == (u32)bpf_get_current_pid_tgid();
	return user_u64(*task + c->task_context) != context;
}

/* What the thread acts in; 0 where that is not known, or holds what it was made for no more. */
static __always_inline u64 acting_context(struct target *c, struct thread *t)
{
	u64 context = current_context(c, t);

	return context == 1 || stale(c, context) ? 0 : context;
}

static __always_inline void note(u8 type, u64 context, u64 other, u8 flags, u64 now)
{
	struct event *e = reserve(type, now);

	if (!e)
		return;
	e->context = context == 1 ? 0 : context;
	e->other = other;
	e->flags = flags;
	submit(e);
}
#endif
