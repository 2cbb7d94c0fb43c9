//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/*
 * unwind: the part of the stack unwinder that meets native and Python frames, with a memory.
 *
 * The unwinder asks four maps and searches a fifth for each native frame: a trie by address, the
 * interpreters' code, the page, the file, its rules. A stack of a Python service has 80 of them, and most
 * were there in the stack before: what is known of a return address is kept, one line of cache a frame.
 *
 *   unwind_native, unwind_python ──► known_next: whose code is it? ──► known_unwind: where is its caller?
 *                                       │ not known                       │ not known
 *                                       └─► learn_frame, with all maps    └─► unknown_frame, with all maps
 *                                             │ nobody's: does a return probe hide the caller?
 *                                             └─► true_return
 *
 * It is the unwinder's own code (this includes it) but for these steps, and replaces its programs in the
 * map that they call one another through. A frame is forgotten after half a minute, as its process may end
 * and another get its number, or map other code there; until then such a stack would be wrong.
 */
#define __x86_64 1
#define __x86_64__ 1 /* the module compiles for the host */
#include "bpfdefs.h"
#include "native_stack_trace.h"

/* As many native frames a run: with the maps behind calls, the loop is cheap to verify. */
#define FRAMES_PER_RUN 20

/* 4,096 frames a CPU in 128 KiB: one value may have 32 KiB of a CPU's memory. */
#define PART_BITS 10
#define PARTS_BITS 2

#define KNOWN_FOR 28 /* of 2^30 ns, 30 s */

/* What is known of a return address in a process. */
struct known {
	u64 pc;
	u64 file_id;
	u32 pid;
	u32 offset;	/* of pc in the file */
	u32 learned;	/* when, in 2^30 ns */
	u16 info;	/* the rule, in unwind_info_array */
	s8 adjust;	/* of the rule, at this address */
	u8 interpreter; /* the unwinder of the frames that this code runs */
};

struct known_part {
	struct known frames[1 << PART_BITS];
};

/* A CPU's own, as the record that a stack is built in; each trigger that may interrupt another has its own of both. */
struct known_frames_t {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << PARTS_BITS);
	__type(key, u32);
	__type(value, struct known_part);
} known_frames SEC(".maps");

/* where a return address is kept; another one there is replaced. */
static EBPF_INLINE struct known *place(u32 pid, u64 pc)
{
	u32 hash = ((pc ^ (u64)pid << 32) * 0x9E3779B97F4A7C15ULL) >> (64 - PART_BITS - PARTS_BITS);
	u32 part = hash >> PART_BITS;
	struct known_part *p = bpf_map_lookup_elem(&known_frames, &part);

	return p ? &p->frames[hash & ((1 << PART_BITS) - 1)] : NULL;
}

/* known_frame: NULL where nothing is known, and for the frame that was interrupted, which is anywhere. */
static EBPF_INLINE struct known *known_frame(PerCPURecord *record)
{
	UnwindState *state = &record->state;
	struct known *k = place(record->trace.pid, state->pc);

	if (!k || !state->return_address || k->pc != state->pc || k->pid != record->trace.pid)
		return NULL;
	if ((u32)(record->trace.ktime >> 30) - k->learned > KNOWN_FOR)
		return NULL;
	return k;
}

/* next_after says who unwinds what this code runs; frames of an interpreter that is done are native ones. */
static EBPF_INLINE int next_after(PerCPURecord *record, int interpreter)
{
	if (interpreter == PROG_UNWIND_NATIVE || unwinder_is_done(record, interpreter))
		return PROG_UNWIND_NATIVE;
	increment_metric(metricID_UnwindCallInterpreter);
	return interpreter;
}

/* remember keeps what holds wherever this return address is met. */
static EBPF_INLINE void remember(PerCPURecord *record, int interpreter)
{
	UnwindState *state = &record->state;
	struct known *k = place(record->trace.pid, state->pc);
	s32 metric = state->error_metric;
	UnwindInfo *info;
	int diff = 0;
	u32 at = 0;

	if (!k || !state->return_address || state->text_section_offset >> 32)
		return;
	if (get_stack_delta(state, &diff, &at)) {
		state->error_metric = metric; /* it is one only if the frame is unwound */
		return;
	}
	if (at & STACK_DELTA_COMMAND_FLAG)
		return;
	info = bpf_map_lookup_elem(&unwind_info_array, &at);
	if (!info)
		return;
	k->adjust = 0;
	if (info->mergeOpcode && diff >= (info->mergeOpcode & ~MERGEOPCODE_NEGATIVE))
		k->adjust = (info->mergeOpcode & MERGEOPCODE_NEGATIVE) ? -8 : 8;
	k->pc = state->pc;
	k->file_id = state->text_section_id;
	k->pid = record->trace.pid;
	k->offset = state->text_section_offset;
	k->learned = record->trace.ktime >> 30;
	k->info = at;
	k->interpreter = interpreter;
}

/*
 * A return probe puts the address of a page of the kernel's, [uprobes], in the place of the return address, and keeps
 * that one until the function returns. Of it and its kin, only what is read here:
 */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct return_instance {
	unsigned long stack; /* where the return address was */
	unsigned long orig_ret_vaddr;
	struct return_instance *next; /* of the function that called, directly or not */
};
struct uprobe_task {
	struct return_instance *return_instances;
};
struct task_struct___probed {
	struct uprobe_task *utask;
};
#pragma clang attribute pop

#define RETURNS_MAX 64 /* as many of a thread as the kernel keeps, MAX_URETPROBE_DEPTH */

/*
 * true_return replaces the address that a return probe put there by the true one. The stack is that of the current
 * thread, and its last frame was just left: the return address was below sp.
 */
static EBPF_INLINE bool true_return(UnwindState *state)
{
	struct task_struct___probed *t = (void *)bpf_get_current_task();
	struct uprobe_task *probed = NULL;
	struct return_instance *r = NULL;
	unsigned long stack, pc;

	if (!state->return_address || bpf_probe_read_kernel(&probed, sizeof(probed), &t->utask) || !probed)
		return false;
	bpf_probe_read_kernel(&r, sizeof(r), &probed->return_instances);
	for (int i = 0; i < RETURNS_MAX && r; i++) {
		if (bpf_probe_read_kernel(&stack, sizeof(stack), &r->stack))
			return false;
		if (stack == state->sp - sizeof(stack)) {
			if (bpf_probe_read_kernel(&pc, sizeof(pc), &r->orig_ret_vaddr))
				return false;
			state->pc = pc;
			return true;
		}
		if (bpf_probe_read_kernel(&r, sizeof(r), &r->next))
			return false;
	}
	return false;
}

/* learn_frame is the unwinder's way; its result is error << 8 | who goes on. Not inlined, so that it is verified once. */
__attribute__((noinline)) int learn_frame(void)
{
	int unwinder = PROG_UNWIND_STOP, interpreter = PROG_UNWIND_NATIVE;
	PerCPURecord *record = get_per_cpu_record();
	OffsetRange *range;
	ErrorCode error;
	s32 metric;
	u64 id;

	if (!record)
		return ERR_UNREACHABLE << 8;
	metric = record->state.error_metric;
	error = resolve_unwind_mapping(record, &unwinder);
	if (error == ERR_NATIVE_NO_PID_PAGE_MAPPING && true_return(&record->state)) {
		record->state.error_metric = metric;
		error = resolve_unwind_mapping(record, &unwinder);
	}
	if (error || unwinder != PROG_UNWIND_NATIVE)
		return error << 8 | (unwinder & 0xff);
	id = record->state.text_section_id;
	range = bpf_map_lookup_elem(&interpreter_offsets, &id);
	if (range && matches_interpreter_range(record->state.text_section_offset, range))
		interpreter = range->program_index;
	remember(record, interpreter);
	return next_after(record, interpreter) & 0xff;
}

static EBPF_INLINE ErrorCode known_next(PerCPURecord *record, int *unwinder)
{
	UnwindState *state = &record->state;
	struct known *k;
	int learned;

	*unwinder = PROG_UNWIND_STOP;
	if (state->pc == 0) {
		state->error_metric = metricID_UnwindErrZeroPC;
		return ERR_NATIVE_ZERO_PC;
	}
	k = known_frame(record);
	if (!k) {
		learned = learn_frame();
		*unwinder = learned & 0xff;
		return learned >> 8;
	}
	state->text_section_id = k->file_id;
	state->text_section_offset = k->offset;
	state->text_section_bias = state->pc - k->offset;
	*unwinder = next_after(record, k->interpreter);
	return ERR_OK;
}

/* unknown_frame is the unwinder's way; its result is error << 8 | whether it was the last frame. */
__attribute__((noinline)) int unknown_frame(void)
{
	PerCPURecord *record = get_per_cpu_record();
	bool stop = false;
	ErrorCode error;

	if (!record)
		return ERR_UNREACHABLE << 8;
	error = unwind_one_frame(record, &stop);
	return error << 8 | (stop ? 1 : 0);
}

/* by_rule is what the unwinder does with a rule, on x86: the caller's pc is below cfa, its fp at aux. */
static EBPF_INLINE ErrorCode by_rule(UnwindState *state, UnwindInfo *info, s32 adjust)
{
	u64 cfa = unwind_calc_register_with_deref(state, info->baseReg, info->param + adjust, (info->flags & UNWIND_FLAG_DEREF_CFA) != 0);
	u64 aux, both[2];

	state->cfa = cfa; /* aux may be told from it */
	aux = unwind_calc_register(state, info->auxBaseReg, info->auxParam);
	if (info->flags & UNWIND_FLAG_REGISTER_RA) {
		state->pc = aux;
		state->fp = 0;
	} else if (cfa && aux == cfa - sizeof(both)) { /* side by side, as most compilers put them */
		if (bpf_probe_read_user(both, sizeof(both), (void *)aux))
			return ERR_NATIVE_PC_READ;
		state->fp = both[0];
		state->pc = both[1];
	} else {
		if (aux)
			bpf_probe_read_user(&state->fp, sizeof(state->fp), (void *)aux);
		else if (info->baseReg == UNWIND_REG_FP)
			state->fp = 0;
		if (!cfa || bpf_probe_read_user(&state->pc, sizeof(state->pc), (void *)(cfa - 8)))
			return ERR_NATIVE_PC_READ;
	}
	state->sp = cfa;
	unwinder_mark_nonleaf_frame(state);
	return ERR_OK;
}

static EBPF_INLINE ErrorCode known_unwind(PerCPURecord *record, bool *stop)
{
	struct known *k = known_frame(record);
	UnwindInfo *info;
	ErrorCode error;
	u32 at;
	int done;

	*stop = false;
	if (!k) {
		done = unknown_frame();
		*stop = done & 1;
		return done >> 8;
	}
	at = k->info;
	info = bpf_map_lookup_elem(&unwind_info_array, &at);
	if (!info)
		return ERR_NATIVE_BAD_UNWIND_INFO_INDEX;
	error = by_rule(&record->state, info, k->adjust);
	increment_metric(error ? metricID_UnwindNativeErrPCRead : metricID_UnwindNativeFrames);
	return error;
}

BPF_RODATA_VAR(u32, with_debug_output, 0)
BPF_RODATA_VAR(u64, tpbase_offset, 0)

/* The unwinder's maps, by name only: its own are put in their place at load. */
#define THEIRS(name)                                                                                                           \
	struct name##_t {                                                                                                      \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                              \
		__uint(max_entries, 1);                                                                                        \
		__type(key, u32);                                                                                              \
		__type(value, u32);                                                                                            \
	} name SEC(".maps");

THEIRS(per_cpu_records)
THEIRS(metrics)
THEIRS(perf_progs)
THEIRS(pid_page_to_mapping_info)
THEIRS(interpreter_offsets)
THEIRS(stack_delta_page_to_info)
THEIRS(unwind_info_array)
THEIRS(exe_id_to_8_stack_deltas)
THEIRS(exe_id_to_9_stack_deltas)
THEIRS(exe_id_to_10_stack_deltas)
THEIRS(exe_id_to_11_stack_deltas)
THEIRS(exe_id_to_12_stack_deltas)
THEIRS(exe_id_to_13_stack_deltas)
THEIRS(exe_id_to_14_stack_deltas)
THEIRS(exe_id_to_15_stack_deltas)
THEIRS(exe_id_to_16_stack_deltas)
THEIRS(exe_id_to_17_stack_deltas)
THEIRS(exe_id_to_18_stack_deltas)
THEIRS(exe_id_to_19_stack_deltas)
THEIRS(exe_id_to_20_stack_deltas)
THEIRS(exe_id_to_21_stack_deltas)
THEIRS(exe_id_to_22_stack_deltas)
THEIRS(exe_id_to_23_stack_deltas)

/* Programs for the CPU clock; internal/stack loads them for other triggers as another type. */
#undef MULTI_USE_FUNC
#define MULTI_USE_FUNC(f)                                                                                                      \
	SEC("perf_event/known_" #f)                                                                                            \
	int known_##f(struct pt_regs *ctx)                                                                                     \
	{                                                                                                                      \
		return f(ctx);                                                                                                 \
	}

/* From here on the unwinder's code takes these two steps. */
#define get_next_unwinder_after_native_frame known_next
#define unwind_one_frame known_unwind
#include "python_tracer.ebpf.c"

static EBPF_INLINE int unwind_native(struct pt_regs *ctx)
{
	PerCPURecord *record = get_per_cpu_record();
	int unwinder = PROG_UNWIND_NATIVE;
	ErrorCode error = ERR_OK;

	if (!record)
		return -1;
	for (int i = 0; i < FRAMES_PER_RUN && unwinder == PROG_UNWIND_NATIVE && !error; i++)
		error = python_step_native(record, &unwinder);
	record->state.unwind_error = error;
	tail_call(ctx, unwinder);
	return -1;
}
MULTI_USE_FUNC(unwind_native)

char _license[] SEC("license") = "GPL";
