//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * sample_fault: lets the stack unwinder run where a process touches new memory.
 *
 * Memory that is asked for costs nothing until it is touched. Then the kernel gives it a page, and the software event of
 * minor page faults, opened for the threads of the watched processes alone, counts it after it is there. It fires
 * every FAULTS_EACH faults of a thread:
 *
 *   fault ──► the page is mapped ──► FAULTS_EACH × its size are pending (headers/bytes.h) ──(no stack is due)──► end
 *                                        │
 *                                        ├──(a file's, or shared)──► counted ──► end
 *                                        └──► fault_taken ──► fault_unwinder[0]
 *
 * Whose memory it is, is asked where a stack is due, as the question takes 5 µs; all that is pending is then taken
 * for the same. That is right on average and exact in sum. A huge page is told from the page table, where its layout
 * is known (x86); elsewhere, and for the sizes between, a fault counts as one small page.
 */
#include "headers/bytes.h"
#include "headers/moment.h"

/*
 * An overflow takes 0.4 µs, a fault 1 µs and more, so that this is at most 3 % of what the faults themselves take. It is
 * prime, so as not to keep step with a program that touches 2ⁿ pages at a time.
 */
const volatile u64 faults_each = 13;
const volatile u64 page_size = 4096;
/* How many levels the page tables have, 0: huge pages are not looked for; and where the kernel keeps the address at
 * which it maps all memory, 0: it is that of PAGE_OFFSET_FIXED. */
const volatile u32 page_levels = 0;
const volatile u64 page_offset_base = 0;
#define PAGE_OFFSET_FIXED 0xffff888000000000ULL

#if defined(__TARGET_ARCH_x86)
#define REGISTERS 21
#else
#define REGISTERS 34
#endif

/* of the kernel's UAPI, whose header brings a second struct pt_regs */
struct bpf_perf_event_data {
	u64 registers[REGISTERS], sample_period, addr;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct vm_area_struct {
	void *vm_file;
};
typedef struct {
	unsigned long pgd;
} pgd_t;
struct mm_struct {
	pgd_t *pgd;
};
struct task_struct___memory {
	struct mm_struct *mm;
};
#pragma clang attribute pop

enum fault_count {
	FAULT_TICKS,	   /* stacks for which the unwinder was asked */
	FAULT_NOT_ENTERED, /* the tail call failed */
	FAULT_BYTES,	   /* counted in all */
	FAULT_FILE_BYTES,  /* of them, those of files and shared memory, which have no stack */
	FAULT_UNTOLD,	   /* stacks of which nobody can say whose memory it was; taken for private */
	FAULT_DEFERRED,	   /* stacks put off to the next fault: fault_taken was full */
	FAULT_HUGE,	   /* ticks of huge pages */
	FAULT_COUNTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} fault_unwinder SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FAULT_COUNTS);
	__type(key, enum fault_count);
	__type(value, u64);
} fault_counts SEC(".maps");

/* By process; an event of a process that is not in it, as its last ones may be, counts for nobody. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, u32);
	__type(value, struct pending);
} fault_pending SEC(".maps");

/* Read with every stack; 2,700 of them are 1 s of 50 CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} fault_taken SEC(".maps");

static __always_inline void sum_up(enum fault_count what, u64 n)
{
	u64 *to = bpf_map_lookup_elem(&fault_counts, &what);

	if (to)
		*to += n;
}

#define ENTRY_PRESENT 1ULL
#define ENTRY_HUGE (1ULL << 7)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL
#define LEVELS_MAX 5
#define HUGE_SHIFT 21

/* The size of the page that an address is on now, by walking x86's page table down to where huge pages end. */
static __always_inline u64 size_of_page(u64 address)
{
	struct task_struct___memory *t = (void *)bpf_get_current_task_btf();
	u64 table, entry, base = PAGE_OFFSET_FIXED;
	u32 shift = 12 + 9 * (page_levels - 1);

	if (!page_levels)
		return page_size;
	if (page_offset_base && bpf_probe_read_kernel(&base, sizeof(base), (void *)page_offset_base))
		return page_size;
	table = (u64)BPF_CORE_READ(t, mm, pgd);
	for (int level = 0; level < LEVELS_MAX && shift >= HUGE_SHIFT; level++, shift -= 9) {
		if (bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(table + 8 * (address >> shift & 511))) || !(entry & ENTRY_PRESENT))
			return page_size;
		if (entry & ENTRY_HUGE)
			return 1ULL << shift;
		table = base + (entry & ENTRY_ADDRESS);
	}
	return page_size;
}

static long private(struct task_struct *t, struct vm_area_struct *area, void *answer)
{
	*(bool *)answer = !area->vm_file;
	return 0;
}

SEC("perf_event")
int sample_fault(struct bpf_perf_event_data *ctx)
{
	u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns(), size;
	u32 pid = id >> 32;
	struct pending *p = bpf_map_lookup_elem(&fault_pending, &pid);
	struct taken *taken;
	bool ours = true;

	if (!p)
		return 0;
	size = size_of_page(ctx->addr);
	sum_up(FAULT_BYTES, faults_each * size);
	if (size != page_size)
		sum_up(FAULT_HUGE, 1);
	if (!due(p, faults_each * size, now, 1 << 16))
		return 0;
	if (bpf_find_vma(bpf_get_current_task_btf(), ctx->addr, private, &ours, 0))
		sum_up(FAULT_UNTOLD, 1);
	if (!ours) {
		sum_up(FAULT_FILE_BYTES, p->bytes);
		p->bytes = 0;
		return 0;
	}
	taken = bpf_ringbuf_reserve(&fault_taken, sizeof(*taken), 0);
	if (!taken) {
		sum_up(FAULT_DEFERRED, 1);
		return 0;
	}
	taken->time = now;
	taken->bytes = p->bytes;
	taken->pid = pid;
	taken->tid = id;
	p->bytes = 0;
	bpf_ringbuf_submit(taken, BPF_RB_NO_WAKEUP);
	sum_up(FAULT_TICKS, 1);
	moment();
	bpf_tail_call(ctx, &fault_unwinder, 0);
	sum_up(FAULT_NOT_ENTERED, 1); /* a tail call that succeeds does not return */
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
