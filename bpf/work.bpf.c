//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Work that is handed to the threads of a concurrent.futures executor. It takes no Context along, so only the work
 * itself tells whose it is: the item that goes through the executor's queue.SimpleQueue.
 *
 *   put         ─► WORK_PUT   in the Context of who hands it over
 *   get returns ─► WORK_GOT   the same item: the thread works for whoever put it …
 *   get         ─► WORK_DONE  … until it asks for the next one
 *
 * Queues of other things are left alone: an item counts that is a concurrent.futures.thread._WorkItem.
 */
#include "headers/maps.h"

#define OB_TYPE 8  /* PyObject.ob_type */
#define TP_NAME 24 /* PyTypeObject.tp_name */
#define WORK_ITE 0x6574496b726f575fULL /* "_WorkIte", little endian */

static __always_inline bool is_work(u64 item)
{
	char end[2] = {};
	u64 type, name;

	if (!item)
		return false; /* get had nothing, or failed */
	type = user_u64(item + OB_TYPE);
	name = type ? user_u64(type + TP_NAME) : 0;
	if (!name || user_u64(name) != WORK_ITE)
		return false;
	return !bpf_probe_read_user(end, sizeof(end), (void *)(name + 8)) && end[0] == 'm' && !end[1];
}

/* put(item, …): METH_FASTCALL, the second argument is the array of arguments. */
SEC("uprobe")
int work_put(struct pt_regs *regs)
{
	u64 item = user_u64(PT_REGS_PARM2(regs));
	struct target *c = current_target();
	struct thread *thread;
	struct timing t;

	if (!c)
		return 0;
	t = timed(PROGRAM_WORK_PUT);
	if (!is_work(item))
		return spent(t);
	thread = this_thread();
	settle(c, thread);
	note(EVENT_WORK_PUT, acting_context(c, thread), item, 0, t.start);
	return spent(t);
}

SEC("uprobe")
int work_get(struct pt_regs *regs)
{
	struct thread *thread;
	struct timing t;

	if (!current_target())
		return 0;
	t = timed(PROGRAM_WORK_GET);
	thread = this_thread();
	if (thread && thread->work) {
		note(EVENT_WORK_DONE, 0, thread->work, 0, t.start);
		thread->work = 0;
	}
	return spent(t);
}

SEC("uretprobe")
int work_got(struct pt_regs *regs)
{
	u64 item = PT_REGS_RC(regs);
	struct thread *thread;
	struct timing t;

	if (!current_target())
		return 0;
	t = timed(PROGRAM_WORK_GOT);
	thread = this_thread();
	if (thread && is_work(item)) {
		thread->work = item;
		note(EVENT_WORK_GOT, 0, item, 0, t.start);
	}
	return spent(t);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
