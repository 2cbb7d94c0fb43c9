//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * offcpu: lets the stack unwinder run where a thread of a watched process comes back from a sleep.
 *
 *   leaves the CPU ──► preempted ──────────────────────────────────────────► end: that is run queue
 *                  └─► sleeps: since when and in what are noted ──► woken ──► runs again, at the end of __schedule
 *
 *   runs again ──► its process was never unwound ──────────────────────────► offcpu_unwinder[0], value 0
 *              ├─► slept in epoll: idle ───────────────────────────────────► end
 *              └─► its off-CPU clock goes on ──► a period is full ─────────► offcpu_unwinder[0], value: the full periods
 *                                            └─► else ─────────────────────► end
 *
 * It samples by a clock of each thread that runs while the thread sleeps, as a CPU clock runs while it runs: a sleep
 * longer than the period is always sampled, a shorter one as often as its share of the time is, what is left of a
 * period goes into the next. So the values add up to the time slept, of each stack and of all, whatever the period.
 *
 * sched_exit_tp fires in the thread itself, after the run queue was unlocked, with the registers that it saved when it
 * entered the kernel. Raw tracepoints, because programs of that type can call one another; the unwinder's, loaded
 * again as this type by internal/stack, have records of their own, as the CPU clock may interrupt them.
 *
 * The first sample of a process makes the unwinder read how its objects are unwound, 0.2 s of work during which nothing
 * of it is unwound. It is asked for at the process's first sleep, not when the clock first meets it.
 */
#include "headers/moment.h"
#include "headers/syscall.h"
#include "headers/sleep.h"

enum offcpu_count {
	OFFCPU_SAMPLES,	    /* sleeps for which the unwinder was asked */
	OFFCPU_NOT_ENTERED, /* the tail call failed */
	OFFCPU_NO_STORAGE,  /* sleeps of threads for which there was no memory */
	OFFCPU_COUNTS,
};

/* Processes to sample, as many as the CPU clock's. */
#define PROCESSES_MAX 1024
struct offcpu_process {
	u64 runtime, runtime_end; /* _PyRuntime, in which the GIL is; 0: no CPython */
	u32 met;		  /* its first sample was asked for */
	u32 unused;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, u32);
	__type(value, struct offcpu_process);
} offcpu_processes SEC(".maps");

/* What is remembered of a thread that has slept; freed with it. */
struct sleeper {
	u64 off;  /* since when it sleeps; 0: it does not */
	u64 kept; /* of its clock, not sampled yet */
	u8 kind;
	u8 meets; /* its process was never unwound */
	u8 unused[6];
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sleeper);
} sleepers SEC(".maps");

/* The period of the clocks, ns; user space moves it with the cost. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} offcpu_period SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OFFCPU_COUNTS);
	__type(key, enum offcpu_count);
	__type(value, u64);
} offcpu_counts SEC(".maps");

/* All sleeps by kind, sampled or not. */
struct offcpu_sum {
	u64 sleeps, ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLEEP_KINDS);
	__type(key, enum sleep_kind);
	__type(value, struct offcpu_sum);
} offcpu_sums SEC(".maps");

/*
 * What it costs. Each sleep has two runs, of which one in sixteen is timed, as the clock decides; unwinding is timed each
 * time.
 */
struct offcpu_cost {
	u64 timed, ns, unwinding_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct offcpu_cost);
} offcpu_costs SEC(".maps");

/* From the entry of an unwinding to its end, which is on the same CPU: it is not preempted. */
struct taken {
	u64 value; /* with the kind in the highest byte: the unwinder may use other fields for itself */
	u64 slept, begin;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct taken);
} offcpu_taken SEC(".maps");

/* The unwinder's entry, and the program that ends an unwinding. */
enum { UNWINDER_ENTRY, UNWINDER_STOP, UNWINDER_PROGRAMS };
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, UNWINDER_PROGRAMS);
	__type(key, u32);
	__type(value, u32);
} offcpu_unwinder SEC(".maps");

/*
 * The unwinder's record of the stack in the making. Its size and the places of the fields that are filled in here are
 * the unwinder's and set by internal/stack, which makes the map.
 */
#define RECORD_MAX 32768
struct offcpu_record {
	u8 bytes[RECORD_MAX];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct offcpu_record);
} offcpu_records SEC(".maps");

#define KIND_SHIFT 56
const volatile u32 at_value = 0, at_slept = 0; /* in the record */

static __always_inline void offcpu_count(enum offcpu_count what)
{
	u64 *n = bpf_map_lookup_elem(&offcpu_counts, &what);

	if (n)
		(*n)++;
}

static __always_inline void cost(u64 begin)
{
	struct offcpu_cost *c;
	u32 zero = 0;

	if (begin >> 4 & 15)
		return;
	c = bpf_map_lookup_elem(&offcpu_costs, &zero);
	if (!c)
		return;
	c->timed++;
	c->ns += bpf_ktime_get_ns() - begin;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(offcpu_leaves, bool preempt, struct task_struct *prev)
{
	struct offcpu_process *p;
	struct sleeper *s;
	u32 tgid;
	u64 now;

	if (preempt || !prev->__state)
		return 0;
	tgid = prev->tgid;
	p = bpf_map_lookup_elem(&offcpu_processes, &tgid);
	if (!p)
		return 0;
	now = bpf_ktime_get_ns();
	s = bpf_task_storage_get(&sleepers, prev, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s) {
		offcpu_count(OFFCPU_NO_STORAGE);
		return 0;
	}
	s->kind = sleep_kind(prev, p->runtime, p->runtime_end);
	s->meets = !p->met;
	s->off = now;
	cost(now);
	return 0;
}

static __always_inline void enter_unwinder(void *ctx, struct sleeper *s, u64 value, u64 slept, u64 now)
{
	u32 zero = 0;
	struct taken *t = bpf_map_lookup_elem(&offcpu_taken, &zero);

	if (!t)
		return;
	*t = (struct taken){ .value = (u64)s->kind << KIND_SHIFT | value, .slept = slept, .begin = now };
	offcpu_count(OFFCPU_SAMPLES);
	moment();
	bpf_tail_call(ctx, &offcpu_unwinder, UNWINDER_ENTRY);
	offcpu_count(OFFCPU_NOT_ENTERED); /* a tail call that succeeds does not return */
}

static __always_inline bool first_of_process(struct sleeper *s)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct offcpu_process *p;

	if (!s->meets)
		return false;
	p = bpf_map_lookup_elem(&offcpu_processes, &tgid);
	if (!p || p->met)
		return false;
	p->met = 1; /* two threads of two CPUs may both be the first: that costs one unwinding */
	return true;
}

static __always_inline void sum(enum sleep_kind kind, u64 slept)
{
	struct offcpu_sum *all = bpf_map_lookup_elem(&offcpu_sums, &kind);

	if (!all)
		return;
	all->sleeps++;
	all->ns += slept;
}

SEC("raw_tp/sched_exit_tp")
int offcpu_comes(struct bpf_raw_tracepoint_args *ctx)
{
	struct sleeper *s = bpf_task_storage_get(&sleepers, bpf_get_current_task_btf(), 0, 0);
	u64 now, slept, *period, full = 0;
	u32 zero = 0;

	if (!s || !s->off)
		return 0;
	now = bpf_ktime_get_ns();
	slept = now - s->off;
	s->off = 0;
	sum(s->kind, slept);
	period = bpf_map_lookup_elem(&offcpu_period, &zero);
	if (s->kind != SLEEP_EPOLL && period && *period) {
		s->kept += slept;
		if (s->kept >= *period)
			full = s->kept - s->kept % *period;
	}
	cost(now);
	if (!full && !first_of_process(s))
		return 0;
	s->kept -= full;
	enter_unwinder(ctx, s, full, slept, now);
	return 0;
}

static __always_inline void put(struct offcpu_record *r, u32 at, u64 value)
{
	if (at <= RECORD_MAX - sizeof(value))
		*(u64 *)(r->bytes + at) = value;
}

/* In place of the unwinder's last program, which it calls: what the stack stands for goes into the record. */
SEC("raw_tp/offcpu_stop")
int offcpu_stop(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0;
	struct offcpu_record *r = bpf_map_lookup_elem(&offcpu_records, &zero);
	struct taken *t = bpf_map_lookup_elem(&offcpu_taken, &zero);
	struct offcpu_cost *c = bpf_map_lookup_elem(&offcpu_costs, &zero);

	if (r && t && c) {
		put(r, at_value, t->value);
		put(r, at_slept, t->slept);
		c->unwinding_ns += bpf_ktime_get_ns() - t->begin;
	}
	bpf_tail_call(ctx, &offcpu_unwinder, UNWINDER_STOP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
