//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * sample: lets the stack unwinder run for watched processes only.
 *
 * A software CPU clock fires on every CPU. The unwinder behind it costs a hundred
 * microseconds a sample, and would be paid for whatever happens to run; this entry asks first
 * whether anyone watches the process, and only then enters the unwinder by a tail call.
 *
 *   cpu-clock ──► sample_cpu ──(process not watched)──► end, ~0.1 µs
 *                     │
 *                     └──(watched)──► EVENT_SAMPLE: the context that runs
 *                                ──► sample_unwinder[0], loaded by internal/stack
 */
#include "headers/moment.h"

/* Processes to sample: 1,024 is more workers than any target here has. */
#define MAX_SAMPLED_PIDS 1024

/* What became of the clock's ticks, summed over the CPUs in user space. */
enum sample_count {
	SAMPLE_TICKS,	    /* the clock fired while a watched process ran */
	SAMPLE_NOT_ENTERED, /* the tail call failed: the unwinder is not loaded, or too deep */
	SAMPLE_COUNTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SAMPLED_PIDS);
	__type(key, u32);
	__type(value, u8);
} sampled_pids SEC(".maps");

/* One slot: the unwinder's entry program. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} sample_unwinder SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SAMPLE_COUNTS);
	__type(key, enum sample_count);
	__type(value, u64);
} sample_counts SEC(".maps");

static __always_inline void tick(enum sample_count what)
{
	u64 *n = bpf_map_lookup_elem(&sample_counts, &what);

	if (n)
		(*n)++;
}

SEC("perf_event")
int sample_cpu(void *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (!bpf_map_lookup_elem(&sampled_pids, &pid))
		return 0;

	tick(SAMPLE_TICKS);
	moment();
	bpf_tail_call(ctx, &sample_unwinder, 0);
	tick(SAMPLE_NOT_ENTERED); /* a tail call that succeeds does not return */
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
