//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * sample_alloc: lets the stack unwinder run where a process asks an allocator for memory.
 *
 * Probes on the entries of allocators, attached to the watched processes alone and only while somebody asks for it:
 * each call traps, which costs more than all that is done here.
 *
 *   malloc(n) ──► n bytes are pending (headers/bytes.h) ──(no stack is due)──► end
 *                     └──► alloc_taken ──► alloc_unwinder[0]
 *
 * Where n is found is told by the probe's cookie, as allocators take it in different registers and interpreters
 * inline theirs.
 */
#include "headers/bytes.h"
#include "headers/moment.h"

/* A stack each 512 KiB: as fine as Go's and tcmalloc's own heap profiles are. */
#define STEP_MIN (512 << 10)

#define WORD_MASK 31 /* arm64 has 34, of which the arguments are the first eight */

/* The cookie, from its lowest byte. A register is the number of its word in struct pt_regs. */
struct where {
	u8 size, times;	 /* the registers whose product is the size; NO_REGISTER: none */
	u8 flags, other; /* of enum where_flag, and the register that they speak of */
	u32 constant;	 /* the size where no register holds it */
};

enum where_flag {
	WHERE_SMALL = 1,    /* counts up to SMALL_MAX; the allocator has what is larger from one that is probed, too */
	WHERE_NOT_NULL = 2, /* counts where the other register is not 0: otherwise it calls one that is probed, too */
	WHERE_ALIGNED = 4,  /* counts where the other register is above ALIGNED_ANYHOW: likewise */
	WHERE_NO_REGISTER = 255,
};

#define SMALL_MAX 512	  /* CPython's SMALL_REQUEST_THRESHOLD, 3.3 to 3.14 */
#define ALIGNED_ANYHOW 16 /* what glibc's malloc gives without being asked */

enum alloc_count {
	ALLOC_TICKS,	   /* stacks for which the unwinder was asked */
	ALLOC_NOT_ENTERED, /* the tail call failed */
	ALLOC_CALLS,	   /* traps */
	ALLOC_BYTES,	   /* counted in all */
	ALLOC_DEFERRED,	   /* stacks put off to the next call: alloc_taken was full */
	ALLOC_COUNTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} alloc_unwinder SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ALLOC_COUNTS);
	__type(key, enum alloc_count);
	__type(value, u64);
} alloc_counts SEC(".maps");

/* By process; a call of a process that is not in it counts for nobody. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, u32);
	__type(value, struct pending);
} alloc_pending SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16); /* 2,000 stacks */
} alloc_taken SEC(".maps");

static __always_inline void sum_up(enum alloc_count what, u64 n)
{
	u64 *to = bpf_map_lookup_elem(&alloc_counts, &what);

	if (to)
		*to += n;
}

static __always_inline u64 value_of(struct pt_regs *r, u8 word)
{
	u64 value = 0, offset = 8 * (u64)(word & WORD_MASK);

	asm volatile("" : "+r"(offset)); /* the verifier wants to see the bound */
	offset &= 8 * WORD_MASK;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)r + offset);
	return value;
}

/* The size that is asked for, 0: of no interest. */
static __always_inline u64 size_of(struct pt_regs *r, struct where w)
{
	u64 size = w.constant;

	if (w.flags & WHERE_NOT_NULL && !value_of(r, w.other))
		return 0;
	if (w.flags & WHERE_ALIGNED && value_of(r, w.other) <= ALIGNED_ANYHOW)
		return 0;
	if (w.size != WHERE_NO_REGISTER)
		size = value_of(r, w.size);
	if (w.times != WHERE_NO_REGISTER)
		size *= value_of(r, w.times);
	if (w.flags & WHERE_SMALL && size > SMALL_MAX)
		return 0;
	return size;
}

SEC("uprobe")
int sample_alloc(struct pt_regs *regs)
{
	u64 id = bpf_get_current_pid_tgid(), cookie = bpf_get_attach_cookie(regs), now, size;
	struct where where = {.size = cookie, .times = cookie >> 8, .flags = cookie >> 16, .other = cookie >> 24, .constant = cookie >> 32};
	u32 pid = id >> 32;
	struct pending *p = bpf_map_lookup_elem(&alloc_pending, &pid);
	struct taken *taken;

	if (!p)
		return 0;
	sum_up(ALLOC_CALLS, 1);
	size = size_of(regs, where);
	if (!size)
		return 0;
	sum_up(ALLOC_BYTES, size);
	now = bpf_ktime_get_ns();
	if (!due(p, size, now, STEP_MIN))
		return 0;
	taken = bpf_ringbuf_reserve(&alloc_taken, sizeof(*taken), 0);
	if (!taken) {
		sum_up(ALLOC_DEFERRED, 1);
		return 0;
	}
	taken->time = now;
	taken->bytes = p->bytes;
	taken->pid = pid;
	taken->tid = id;
	p->bytes = 0;
	bpf_ringbuf_submit(taken, BPF_RB_NO_WAKEUP);
	sum_up(ALLOC_TICKS, 1);
	moment();
	bpf_tail_call(regs, &alloc_unwinder, 0);
	sum_up(ALLOC_NOT_ENTERED, 1); /* a tail call that succeeds does not return */
	return 0;
}

const enum where_flag *where_flag_type __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
