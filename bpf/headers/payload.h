/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The user buffer of the socket call in progress, from the registers that the thread saved when it
 * entered the kernel: no tracepoint on system calls, which would slow every process of the host.
 */
#ifndef RAGSCOPE_PAYLOAD_H
#define RAGSCOPE_PAYLOAD_H
#include "syscall.h"

#define SEGMENTS_MAX 1024 /* UIO_MAXIOV */
#define SCRATCH 16384

struct segment {
	u64 base, len;
};
struct vector {
	u64 base; /* the only buffer, or the first segment's */
	u64 iov;  /* user address of the segments, 0: one buffer */
	u64 room; /* of the only buffer: what the call offered */
	u32 count, total;
};
struct gathering {
	u64 last, last_len; /* the last segment looked at */
	u32 off, left, limit;
	u32 beyond; /* the segments hold more than was moved */
};
struct walk { /* where the HTTP/2 frames of one direction are */
	u32 skip;  /* payload bytes of the current frame still to come */
	u16 keep;  /* of them, those still to be captured */
	u8 header[9];
	u8 have;   /* bytes of the header seen so far */
	u8 desync;
};
struct walker {
	struct walk w;
	u64 base;
	u32 len;   /* left in the segment */
	u32 left;  /* left in the transfer */
	u32 index;
	u32 out, record;
	u8 sent;
};

/*
 * The event under construction and the state of the loops that make it. Loop state lies in this map and
 * not on the stack: the verifier then takes it as unknown at each step and is done after one.
 */
struct scratch {
	struct event e;
	u8 data[SCRATCH];
	u8 slack[HEAD_MAX]; /* a bounded copy may begin at the last byte of data */
	struct vector v;
	struct gathering g;
	struct walker w;
	u8 header[32]; /* the frame header being read */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* Where the n bytes of the call in progress lie; false for calls that have no user buffer (sendfile, io_uring). */
static __always_inline bool user_vector(struct vector *v, u32 n)
{
	struct call c = call_of(bpf_get_current_task_btf());

	*v = (struct vector){ .total = n };
	switch (kind_of(c.nr)) {
	case BUFFER:
		v->base = c.second;
		v->room = c.third;
		return true;
	case IOVEC:
		v->iov = c.second;
		v->count = c.third;
		break;
	case MESSAGE: /* struct user_msghdr: name, namelen, iov, iovlen */
		v->iov = user_u64(c.second + 16);
		v->count = user_u64(c.second + 24);
		break;
	default:
		return false;
	}
	v->base = v->iov ? user_u64(v->iov) : 0;
	return v->iov != 0;
}

/* Copies n bytes to data[at], both clipped so that they stay inside. */
static __always_inline bool copy_user(struct scratch *s, u64 at, u64 n, u64 from)
{
	barrier_var(at);
	barrier_var(n);
	at &= SCRATCH - 1;
	n &= 2 * HEAD_MAX - 1;
	if (n > HEAD_MAX)
		n = HEAD_MAX;
	return !bpf_probe_read_user(s->data + at, n, (void *)from);
}

static int gather_step(u32 i, void *unused)
{
	struct scratch *s = scratch();
	struct segment seg = {};
	struct gathering *g;
	u32 n;

	if (!s)
		return 1;
	g = &s->g;
	if (i >= s->v.count)
		return 1;
	bpf_probe_read_user(&seg, sizeof(seg), (void *)(s->v.iov + i * sizeof(seg)));
	if (seg.len > g->left) {
		seg.len = g->left;
		g->beyond = 1;
	}
	if (!g->left)
		return g->beyond != 0;
	g->left -= seg.len;
	if (seg.len) {
		g->last = seg.base;
		g->last_len = seg.len;
	}
	n = g->limit - g->off;
	if (n > seg.len)
		n = seg.len;
	if (n && !copy_user(s, g->off, n, seg.base))
		return 1;
	g->off += n;
	return 0;
}

/* Copies the first bytes of the call's buffer, at most limit (<= HEAD_MAX), to the scratch. */
static __always_inline u32 gather_head(struct scratch *s, u32 limit)
{
	u32 total = s->v.total;

	s->g = (struct gathering){ .left = total, .limit = limit };
	if (s->v.iov) {
		bpf_loop(SEGMENTS_MAX, gather_step, 0, 0);
		return s->g.off;
	}
	s->g.last = s->v.base;
	s->g.last_len = total;
	s->g.left = 0;
	if (total > limit)
		total = limit;
	return copy_user(s, 0, total, s->v.base) ? total : 0;
}

/* Copies the last bytes that the head has not behind it; of several segments only the last is looked at. */
static __always_inline u32 gather_tail(struct scratch *s, u32 head)
{
	u64 n = s->v.total - head;

	if (s->g.left) {
		count(COUNT_IOV_CLIPPED);
		return 0;
	}
	if (n > s->g.last_len)
		n = s->g.last_len;
	if (n > TAIL_MAX)
		n = TAIL_MAX;
	return copy_user(s, head, n, s->g.last + s->g.last_len - n) ? n : 0;
}

/* Sends the event with the captured bytes of data. */
static __always_inline void output(struct scratch *s, u64 captured)
{
	barrier_var(captured);
	captured &= 2 * SCRATCH - 1;
	if (captured > SCRATCH)
		captured = SCRATCH;
	if (bpf_ringbuf_output(&events, s, sizeof(s->e) + captured, BPF_RB_NO_WAKEUP))
		count(COUNT_RINGBUF_FULL);
}

/* Whether the kernel took less of a response than the call offered; after the segments were looked at. */
static __always_inline bool took_less(struct scratch *s)
{
	return (s->e.flags & FLAG_INBOUND) && s->e.type == EVENT_SEND && (s->v.iov ? s->g.beyond : s->v.room > s->v.total);
}

static __always_inline int emit_payload(struct scratch *s)
{
	bool request_in = (s->e.flags & FLAG_INBOUND) && s->e.type == EVENT_RECV;
	u32 head = 0, tail = 0;

	if (s->v.total && s->v.base) {
		head = gather_head(s, request_in ? HEAD_MAX : HEAD_MAX / 2);
		if (!head)
			count(COUNT_PAYLOAD_UNREADABLE);
		else if (s->v.total > head)
			tail = gather_tail(s, head);
	}
	s->e.head = head;
	s->e.tail = tail;
	if (took_less(s))
		s->e.flags |= FLAG_SHORT;
	output(s, head + tail);
	return 0;
}
#endif
