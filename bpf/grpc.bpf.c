//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * gRPC calls of Python at their two moments (all calls of a channel share one connection, so the
 * connection cannot say whose call it carries):
 *
 *   AioChannel.call            ─► GRPC_CALL   the wish, in the caller's Context; payload: method
 *   _AioCall.unary_unary       ─► GRPC_START  the hand-over to C-core; payload: head of the request message
 *   Channel.segregated_call …  ─► both        the synchronous stub
 *
 * METH_FASTCALL passes an array of arguments, METH_VARARGS a tuple whose items begin at +24.
 */
#include "headers/maps.h"

#define KEPT 64
#define BYTES_AT 32 /* PyBytesObject.ob_sval; also PyASCIIObject's data is never used here */

struct grpc_event {
	struct event e;
	u8 data[KEPT];
};

static __always_inline void emit_call(u8 type, struct target *c, u64 self, u64 bytes, u64 now)
{
	u64 context, size = user_u64(bytes + 16);
	struct thread *t = this_thread();
	struct grpc_event *g;

	settle(c, t);
	context = acting_context(c, t);
	g = bpf_ringbuf_reserve(&events, sizeof(*g), 0);
	if (!g) {
		count(COUNT_RINGBUF_FULL);
		return;
	}
	fill(&g->e, type, now);
	g->e.context = context;
	g->e.other = self;
	g->e.len = size;
	g->e.head = size < KEPT ? size : KEPT;
	if (bpf_probe_read_user(g->data, KEPT, (void *)(bytes + BYTES_AT))) {
		g->e.head = 0;
		count(COUNT_PAYLOAD_UNREADABLE);
	}
	submit(g);
}

static __always_inline u64 items(struct target *c, struct pt_regs *regs)
{
	return PT_REGS_PARM2(regs) + (c->grpc_tuple ? 24 : 0);
}

static __always_inline int first_argument(u8 type, struct pt_regs *regs)
{
	struct target *c = current_target();
	struct timing t;

	if (!c)
		return 0;
	t = timed(PROGRAM_GRPC);
	emit_call(type, c, PT_REGS_PARM1(regs), user_u64(items(c, regs)), t.start);
	return spent(t);
}

SEC("uprobe")
int grpc_call(struct pt_regs *regs)
{
	return first_argument(EVENT_GRPC_CALL, regs);
}

SEC("uprobe")
int grpc_start(struct pt_regs *regs)
{
	return first_argument(EVENT_GRPC_START, regs);
}

/* segregated_call(flags, method, host, deadline, metadata, creds, (((ops…), tag),), …): ops[1] sends the message. */
SEC("uprobe")
int grpc_sync(struct pt_regs *regs)
{
	struct target *c = current_target();
	u64 args, method, type, operation, message = 0;
	struct timing t;

	if (!c)
		return 0;
	t = timed(PROGRAM_GRPC);
	args = items(c, regs);
	method = user_u64(args + 8);
	type = user_u64(method + 8); /* bytes */
	operation = user_u64(user_u64(user_u64(user_u64(args + 48) + 24) + 24) + 32);
	for (int i = 3; i < 32; i++) {
		u64 field = user_u64(operation + 8 * i);

		if (field && user_u64(field + 8) == type) {
			message = field;
			break;
		}
	}
	emit_call(EVENT_GRPC_CALL, c, 0, method, t.start);
	if (message)
		emit_call(EVENT_GRPC_START, c, 0, message, t.start);
	return spent(t);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
