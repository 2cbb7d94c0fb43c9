/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Bytes of a process that are counted one by one and whose stack is taken now and then.
 *
 *   n bytes ──► pending += n ──(below the threshold)──► end
 *                   │
 *                   └──(at or above it)──► all that is pending is this stack's: struct taken ──► the unwinder
 *
 * So the sum of all stacks is what was counted, but for less than a threshold a CPU. The threshold is drawn anew each
 * time, between half and one and a half times the step, as a program that allocates the same sizes in the same order
 * would otherwise meet it at the same place for ever. The step doubles when a process has more than STACKS_MAX stacks
 * a second and CPU, and halves with each second that has less than a quarter of that.
 */
#ifndef RAGSCOPE_BYTES_H
#define RAGSCOPE_BYTES_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>

#define STACKS_MAX 50 /* a second and CPU: an unwinding takes 100 µs, so 0.5 % of the CPU at most */
#define SECOND 1000000000ULL
#define STEP_MAX (1ULL << 34) /* bytes: 16 GiB, so that doubling ends */

/* What is not yet any stack's. One a process and CPU, so that no two programs write it at once. */
struct pending {
	u64 bytes, threshold, step;
	u64 second, stacks; /* the second of the last stack, and how many it had */
};

/* The bytes of a stack whose unwinding begins; the unwinder's own record has no room for them. */
struct taken {
	u64 time; /* CLOCK_MONOTONIC, ns: just before the unwinder's */
	u64 bytes;
	u32 pid, tid;
};
const struct taken *taken_type __attribute__((unused)); /* so that Go knows it, too */

/* As many processes as are watched at most. */
#define PROCESSES_MAX 256

static __always_inline void draw(struct pending *p)
{
	p->threshold = p->step / 2 + ((p->step >> 10) * (u64)bpf_get_prandom_u32() >> 22); /* a fraction of the step, of 32 bits */
}

/* Begins a second: after a quiet one the step falls, by half for each that went by. */
static __always_inline void begin(struct pending *p, u64 second, u64 step_min)
{
	u64 quiet = second - p->second;

	if (p->step > step_min && (quiet > 1 || p->stacks < STACKS_MAX / 4)) {
		p->step >>= quiet < 32 ? quiet : 32;
		if (p->step < step_min)
			p->step = step_min;
		draw(p);
	}
	p->second = second;
	p->stacks = 0;
}

/* Adds bytes and says whether a stack is due. step_min: what the step begins with and never falls below. */
static __always_inline bool due(struct pending *p, u64 bytes, u64 now, u64 step_min)
{
	u64 second = now / SECOND;

	if (!p->step) {
		p->step = step_min;
		draw(p);
	}
	if (p->second != second)
		begin(p, second, step_min);
	p->bytes += bytes;
	if (p->bytes < p->threshold)
		return false;
	if (++p->stacks > STACKS_MAX && p->step < STEP_MAX) {
		p->step *= 2;
		p->stacks = STACKS_MAX / 2; /* the next doubling needs as many again */
		draw(p);
		return p->bytes >= p->threshold;
	}
	draw(p);
	return true;
}

/*
 * Says of how many bytes a stack is taken, 0: of none. Without anything pending: bytes have a stack with the probability
 * bytes ÷ step, and the stack then stands for a step, or for the bytes if these are more. So what a stack stands for does not
 * depend on what others asked for before it, and is right on average for each of them.
 */
static __always_inline u64 drawn(struct pending *p, u64 bytes, u64 now, u64 step_min, u64 stacks_max)
{
	u64 second = now / SECOND, weight;

	if (!p->step)
		p->step = step_min;
	if (p->second != second)
		begin(p, second, step_min);
	if ((p->step >> 10) * (u64)bpf_get_prandom_u32() >> 22 >= bytes)
		return 0;
	weight = bytes > p->step ? bytes : p->step;
	if (++p->stacks > stacks_max && p->step < STEP_MAX) {
		p->step *= 2;
		p->stacks = stacks_max / 2;
	}
	return weight;
}

#endif
