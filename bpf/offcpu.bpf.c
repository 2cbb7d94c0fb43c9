//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * offcpu: lets the stack unwinder run where a thread of a watched process comes back from a sleep.
 *
 *   sched_switch (sched.bpf.c) ──► how long the thread slept, and in what, lies in its storage
 *
 *   runs again ──► did not sleep ──────────────────────────────────────────► end: that is CPU or run queue
 *              ├─► its process was never unwound ──────────────────────────► offcpu_unwinder[0], value 0
 *              ├─► slept in epoll: idle ───────────────────────────────────► end
 *              ├─► slept for a period or longer, or for less and it is its turn ► offcpu_unwinder[0], value: whole periods
 *              └─► else ───────────────────────────────────────────────────► end
 *
 * A sample stands for whole periods: a sleep is rounded up or down to them, up as often as it has a share of one more. So a
 * sleep longer than the period is always sampled, a shorter one in its share of them, and the values add up to the
 * time slept, of each stack and of all, whatever the period, and whether or not the thread keeps step with it.
 *
 * sched_exit_tp fires in the thread itself, after the run queue was unlocked, with the registers that it saved when it
 * entered the kernel. A raw tracepoint, because programs of that type can call one another; the unwinder's, loaded
 * again as this type by internal/stack, have records of their own, as the CPU clock may interrupt them. Before Linux
 * 6.14 all of them are loaded as kprobes instead and entered at finish_task_switch, with the run queue still locked.
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
	OFFCPU_COUNTS,
};

/* Processes that were met. 1024, as many as the CPU clock's: of one that is pushed out a stack more is taken. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u8);
} offcpu_met SEC(".maps");

/* The period, ns; user space moves it with the cost. 0: nothing is sampled or counted yet. */
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
 * What it costs. Each sleep has one run, of which one in sixteen is timed, as the length of the sleep decides;
 * unwinding is timed each time. What sched_switch costs is counted with it.
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

	if (!begin)
		return;
	c = bpf_map_lookup_elem(&offcpu_costs, &zero);
	if (!c)
		return;
	c->timed++;
	c->ns += bpf_ktime_get_ns() - begin;
}

static __always_inline void enter_unwinder(void *ctx, struct thread *t, u64 value, u64 slept)
{
	u32 zero = 0;
	struct taken *now = bpf_map_lookup_elem(&offcpu_taken, &zero);

	if (!now)
		return;
	*now = (struct taken){ .value = (u64)t->kind << KIND_SHIFT | value, .slept = slept, .begin = bpf_ktime_get_ns() };
	offcpu_count(OFFCPU_SAMPLES);
	moment();
	bpf_tail_call(ctx, &offcpu_unwinder, UNWINDER_ENTRY);
	offcpu_count(OFFCPU_NOT_ENTERED); /* a tail call that succeeds does not return */
}

/* Whether this is the first sleep of the process; each of its threads asks once. */
static __always_inline bool first_of_process(struct thread *t)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u8 met = 1;

	if (t->met)
		return false;
	t->met = 1;
	return !bpf_map_update_elem(&offcpu_met, &tgid, &met, BPF_NOEXIST);
}

static __always_inline void sum(enum sleep_kind kind, u64 slept)
{
	struct offcpu_sum *all = bpf_map_lookup_elem(&offcpu_sums, &kind);

	if (!all)
		return;
	all->sleeps++;
	all->ns += slept;
}

/*
 * For how long a sample of this sleep stands; 0: none is taken. What decides is no die but the multiples of the golden
 * ratio, from a start by chance: they lie more evenly, and so do all that are as far apart as a thread that sleeps
 * here and there by turns is. A clock that ran through all sleeps told a fifth too little of 20 ms in every 20.6.
 */
#define GOLDEN_RATIO 0x9e3779b9 /* of 2^32 */

static __always_inline u64 stands_for(struct thread *t, u64 slept, u64 period)
{
	if (!t->dither)
		t->dither = bpf_get_prandom_u32();
	t->dither += GOLDEN_RATIO;
	slept += (u64)(t->dither >> 8) * period >> 24; /* a period is less than 2^40 ns */
	return slept < period ? 0 : slept - slept % period;
}

SEC("raw_tp/sched_exit_tp")
int offcpu_comes(struct bpf_raw_tracepoint_args *ctx)
{
	struct thread *t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, 0);
	u64 begin = 0, slept, *period, value = 0;
	u32 zero = 0;

	if (!t || !t->slept)
		return 0;
	slept = t->slept;
	t->slept = 0;
	period = bpf_map_lookup_elem(&offcpu_period, &zero);
	if (!period || !*period)
		return 0; /* the unwinder is still being loaded */
	if (!(slept >> 4 & 15))
		begin = bpf_ktime_get_ns();
	sum(t->kind, slept);
	if (t->kind != SLEEP_EPOLL)
		value = stands_for(t, slept, *period);
	cost(begin);
	if (value || first_of_process(t))
		enter_unwinder(ctx, t, value, slept);
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
