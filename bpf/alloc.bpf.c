//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * sample_alloc: counts what a process asks an allocator for, and lets the stack unwinder run there now and then.
 *
 * Probes on the entries of allocators, attached to the watched processes alone and only while somebody asks for it:
 * each call traps, which costs more than all that is done here.
 *
 *   malloc(n) ──► the trap is paid ──(no window is open)──► end
 *                     │
 *                     ├──► n more in this thread's run ──(another context, or RUN_MAX)──► alloc_runs
 *                     │
 *                     └──(drawn, headers/bytes.h)──► alloc_taken ──► alloc_unwinder[0]
 *
 * A run is what a thread asked for in one context, in one go: all bytes are in one, so that they are some endpoint's
 * without chance. Stacks are drawn beside that, and say where.
 *
 * A window is as long as the process would have taken without the traps: its clock stands still while one is paid.
 * What asks most often is slowed most, so on the clock of the wall most windows would end in its midst,
 * and it would be seen too little.
 *
 * Where n is found is told by the probe's cookie, as allocators take it in different registers and interpreters
 * inline theirs.
 */
#include "headers/bytes.h"
#include "headers/moment.h"

/* A stack each 512 KiB: as fine as Go's and tcmalloc's own heap profiles are. */
#define STEP_MIN (512 << 10)
/* While all calls trap, more stacks than elsewhere are small beside that. */
#define ALLOC_STACKS_MAX 400
/* ns: then a run is handed over anyway, as the thread may have gone on to another request in the same context. */
#define RUN_MAX 1000000
/*
 * Of the time that goes by, a part of so many is the process's own at least: were a trap cheaper than its price, a process that does
 * nothing but ask for memory would have no time of its own, and its window no end.
 */
enum window_limit { OWN_LEAST = 16 };
/* Threads that ask for memory at a time. */
#define RUNNING_MAX 4096

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
	ALLOC_BYTES,	   /* counted in all, in windows */
	ALLOC_NOT_TAKEN,   /* stacks: alloc_taken was full */
	ALLOC_NOT_TOLD,	   /* bytes in no run: alloc_running or alloc_runs was full */
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

/* What is watched of a process. The agent opens a window by writing begin, length and price. */
struct window {
	u64 begin;  /* CLOCK_MONOTONIC, ns; 0: none is open */
	u64 length; /* ns of the process's own time */
	u64 price;  /* ns of a trap */
	u64 paid;   /* ns for traps since begin */
	u64 end;    /* when the length was over, 0: it is not, or nobody asked for memory since */
	struct pending stacks;
};

/* By process; a call of a process that is not in it counts for nobody. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, u32);
	__type(value, struct window);
} alloc_windows SEC(".maps");

struct run {
	struct taken bytes;
	u64 context;
};

/* By thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RUNNING_MAX);
	__type(key, u32);
	__type(value, struct run);
} alloc_running SEC(".maps");

/* Read every few milliseconds while a window is open; 32,000 runs, as many as 30 threads make in a second that never do
 * anything else. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} alloc_runs SEC(".maps");

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

/* Whether a window is open. A call that comes in one pays for its trap. */
static __always_inline bool watching(struct window *w, u64 now)
{
	u64 passed = now - w->begin;

	if (!w->begin || w->end)
		return false;
	__sync_fetch_and_add(&w->paid, w->price);
	if (passed < w->length + w->paid && passed < w->length * OWN_LEAST)
		return true;
	w->end = now;
	return false;
}

static __always_inline void hand_over(struct run *r)
{
	struct taken *to;

	if (!r->bytes.bytes)
		return;
	to = bpf_ringbuf_reserve(&alloc_runs, sizeof(*to), 0);
	if (!to) {
		sum_up(ALLOC_NOT_TOLD, r->bytes.bytes);
		return;
	}
	*to = r->bytes;
	bpf_ringbuf_submit(to, BPF_RB_NO_WAKEUP);
}

/* Adds bytes to this thread's run. Returns it if they are its first ones: whose it is must be told. */
static __always_inline struct run *run_on(u64 id, u64 size, u64 now)
{
	struct target *c = current_target();
	struct thread *t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, 0);
	struct run *r, new = {.bytes = {.time = now, .bytes = size, .pid = id >> 32, .tid = id}};
	u32 tid = id;

	if (!c || !c->runtime)
		return 0; /* without contexts a thread's bytes are told by their stacks alone */
	new.context = current_context(c, t);
	r = bpf_map_lookup_elem(&alloc_running, &tid);
	if (!r) {
		if (bpf_map_update_elem(&alloc_running, &tid, &new, BPF_NOEXIST))
			sum_up(ALLOC_NOT_TOLD, size);
		return bpf_map_lookup_elem(&alloc_running, &tid);
	}
	if (r->bytes.bytes && r->context == new.context && now - r->bytes.time < RUN_MAX && r->bytes.pid == new.bytes.pid) {
		r->bytes.bytes += size;
		return 0;
	}
	hand_over(r);
	*r = new;
	return r;
}

SEC("uprobe")
int sample_alloc(struct pt_regs *regs)
{
	u64 id = bpf_get_current_pid_tgid(), cookie = bpf_get_attach_cookie(regs), now = bpf_ktime_get_ns(), size, weight;
	struct where where = {.size = cookie, .times = cookie >> 8, .flags = cookie >> 16, .other = cookie >> 24, .constant = cookie >> 32};
	u32 pid = id >> 32;
	struct window *w = bpf_map_lookup_elem(&alloc_windows, &pid);
	struct taken *taken;
	struct run *first;

	if (!w)
		return 0;
	sum_up(ALLOC_CALLS, 1);
	if (!watching(w, now))
		return 0;
	size = size_of(regs, where);
	if (!size)
		return 0;
	sum_up(ALLOC_BYTES, size);
	first = run_on(id, size, now);
	weight = drawn(&w->stacks, size, now, STEP_MIN, ALLOC_STACKS_MAX);
	if (!first && !weight)
		return 0;
	moment();
	now = bpf_ktime_get_ns();
	if (first)
		first->bytes.time = now;
	if (!weight)
		return 0;
	taken = bpf_ringbuf_reserve(&alloc_taken, sizeof(*taken), 0);
	if (!taken) {
		sum_up(ALLOC_NOT_TAKEN, 1);
		return 0;
	}
	taken->time = now;
	taken->bytes = weight;
	taken->pid = pid;
	taken->tid = id;
	bpf_ringbuf_submit(taken, BPF_RB_NO_WAKEUP);
	sum_up(ALLOC_TICKS, 1);
	bpf_tail_call(regs, &alloc_unwinder, 0);
	sum_up(ALLOC_NOT_ENTERED, 1); /* a tail call that succeeds does not return */
	return 0;
}

const enum where_flag *where_flag_type __attribute__((unused));
const enum window_limit *window_limit_type __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
