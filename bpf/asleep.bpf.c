//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * sample_asleep: lets the stack unwinder run where an event loop's thread goes to sleep in a call.
 *
 * A thread that sleeps has no CPU samples, so what blocks an event loop would have no name. The
 * software event of context switches, opened for that thread alone, fires where it leaves the CPU:
 *
 *   leaves the CPU ──► preempted ──────────────────────────────► end
 *                  ├─► its process was never sampled ──────────► sampled
 *                  ├─► sleeps in epoll (idle), or in a futex ──► end
 *                  └─► sleeps in anything else ──► sampled SLEEPS_MAX times a second at most ──► asleep_unwinder[0]
 *
 * The first sample of a process makes the unwinder read how its objects are unwound, 0.2 s of work during which nothing
 * of it is unwound. It is asked for where the process first sleeps, not where the clock first meets it.
 *
 * Whether the sleep was a long one is known later, and in user space. A futex may be the GIL, for which
 * a thread sleeps hundreds of times a second; locks are not told apart from it here.
 */
#include "headers/kernel.h"
#include <bpf/bpf_helpers.h>
#include "headers/syscall.h"

#define SLEEPS_MAX 50 /* a second and CPU: an unwinding takes 100 µs and holds the CPU's run queue meanwhile */
#define SECOND 1000000000ULL

enum asleep_count {
	ASLEEP_TICKS,	    /* sleeps for which the unwinder was asked */
	ASLEEP_NOT_ENTERED, /* the tail call failed */
	ASLEEP_SKIPPED,	    /* sleeps beyond SLEEPS_MAX */
	ASLEEP_COUNTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} asleep_unwinder SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ASLEEP_COUNTS);
	__type(key, enum asleep_count);
	__type(value, u64);
} asleep_counts SEC(".maps");

struct window {
	u64 second, sleeps;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct window);
} asleep_window SEC(".maps");

/* Processes whose first sample was taken. Those beyond the bound, as many as are watched at most, are met by the clock. */
#define PROCESSES_MAX 256
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, u32);
	__type(value, u8);
} asleep_met SEC(".maps");

/* How many are not met yet. While it is 0, as almost always, no process is looked up. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} asleep_unmet SEC(".maps");

static __always_inline void count(enum asleep_count what)
{
	u64 *n = bpf_map_lookup_elem(&asleep_counts, &what);

	if (n)
		(*n)++;
}

static __always_inline bool allowed(void)
{
	u32 zero = 0;
	struct window *w = bpf_map_lookup_elem(&asleep_window, &zero);
	u64 second = bpf_ktime_get_ns() / SECOND;

	if (!w)
		return false;
	if (w->second != second) {
		w->second = second;
		w->sleeps = 0;
	}
	return w->sleeps++ < SLEEPS_MAX;
}

/* Whether the system call in progress is one in which an event loop may well sleep. */
static __always_inline bool idle(struct task_struct *t)
{
	enum call_kind kind = kind_of(call_of(t).nr);

	return kind == EPOLL || kind == FUTEX;
}

/* Whether this is the first sleep of a process that is watched since a moment ago. */
static __always_inline bool meets(struct task_struct *t)
{
	u32 zero = 0, pid = t->tgid;
	u64 *unmet = bpf_map_lookup_elem(&asleep_unmet, &zero);
	u8 one = 1;

	if (!unmet || !*unmet)
		return false;
	if (bpf_map_update_elem(&asleep_met, &pid, &one, BPF_NOEXIST))
		return false;
	__sync_fetch_and_add(unmet, -1);
	return true;
}

SEC("perf_event")
int sample_asleep(void *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();

	if (!t->__state)
		return 0;
	if (!meets(t) && idle(t))
		return 0;
	if (!allowed()) {
		count(ASLEEP_SKIPPED);
		return 0;
	}
	count(ASLEEP_TICKS);
	bpf_tail_call(ctx, &asleep_unwinder, 0);
	count(ASLEEP_NOT_ENTERED); /* a tail call that succeeds does not return */
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
