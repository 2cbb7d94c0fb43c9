//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Workers that a watched process forks are watched from their first instruction: the agent, which knows
 * more about them, finds them later.
 *
 *   fork of a target ─► the child is one, with its parent's memory ─► exec: a program not known
 *                                └─► the agent takes it over, or it exits: forgotten
 *
 * Its connections and system calls are seen at once; what needs a trap in the process comes with the agent.
 */
#include "headers/maps.h"

static __always_inline void set_child(u32 tgid, bool on)
{
	u32 word = tgid / 64;
	u64 *bits = bpf_map_lookup_elem(&children, &word);
	u64 mask = 1ULL << tgid % 64;

	/* only this process's own fork and exit change its bit, so that adding is setting */
	if (bits && !(*bits & mask) == on)
		__sync_fetch_and_add(bits, on ? mask : -mask);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct target *of = target_of(parent->tgid), c;
	u32 tgid = child->tgid;

	if (!of || child->pid != tgid || tgid == parent->tgid)
		return 0;
	c = *of;
	c.inherited = 1;
	c.by_task = BY_TASK_NO; /* no probe of ours is in it */
	c.uv_handle = 0;
	if (bpf_map_update_elem(&targets, &tgid, &c, BPF_NOEXIST))
		count(COUNT_TARGETS_FULL);
	else
		set_child(tgid, true);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *p)
{
	struct target *c = target_of(p->tgid);

	if (c) /* its memory is another's: nothing is read by what was known of it */
		c->runtime = c->runtime_end = c->uv_handle = c->by_task = 0;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *p)
{
	u32 tgid = p->tgid;
	struct target *c;

	if (p->pid != tgid)
		return 0;
	c = target_of(tgid);
	if (c && c->inherited)
		bpf_map_delete_elem(&targets, &tgid);
	set_child(tgid, false); /* also where the agent has taken it over */
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
