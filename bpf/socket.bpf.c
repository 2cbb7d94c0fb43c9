//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * TCP of the watched processes: what was read and written, by whom, and since when it could be read.
 *
 *   inet_sock_set_state  SYN_SENT by the target ──► CONN ──► ESTABLISHED: OPENED ──► CLOSE
 *                        ESTABLISHED on a watched port ──► CONN (inbound) ──► CLOSE
 *   sk_data_ready        bytes arrive: remember the first arrival until the next read
 *   sock_recv_length     RECV or FRAMES, with that arrival
 *   sock_send_length     SEND or FRAMES
 *
 * A connection that was open before we came gets its CONN (midway) at its first transfer. The state
 * lives in socket storage, so it dies with the socket and no address is ever reused.
 */
#include "headers/maps.h"
#include "headers/payload.h"

/* Watched listening ports, host byte order. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u16);
	__type(value, u8);
} ports SEC(".maps");

struct conn {
	u64 cookie, arrive;
	struct walk sent, received;
	u8 inbound, known, http2;
	u8 sniff; /* transfers that may still tell whether it speaks HTTP/2 */
};
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn);
} conns SEC(".maps");

struct addresses {
	u8 local[16], remote[16]; /* IPv4 as ::ffff:a.b.c.d */
};
struct conn_event {
	struct event e;
	struct addresses a;
};

static __always_inline void mapped(u8 *to, u32 v4)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &v4, 4);
}

static __always_inline void endpoints(struct event *e, struct sock *sk)
{
	e->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
	e->rport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

static __always_inline void announce(struct conn *k, struct sock *sk, u64 context, u8 midway)
{
	struct conn_event *c = bpf_ringbuf_reserve(&events, sizeof(*c), 0);

	if (!c) {
		count(COUNT_RINGBUF_FULL);
		return;
	}
	fill(&c->e, EVENT_CONN);
	c->e.sock = k->cookie;
	c->e.context = context;
	c->e.flags = (k->inbound ? FLAG_INBOUND : 0) | (midway ? FLAG_MIDWAY : 0);
	c->e.head = sizeof(c->a);
	endpoints(&c->e, sk);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		mapped(c->a.local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		mapped(c->a.remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&c->a.local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&c->a.remote, sk, __sk_common.skc_v6_daddr);
	}
	bpf_ringbuf_submit(c, wakeup());
	k->known = 1;
	k->sniff = midway ? 8 : 1;
}

static __always_inline struct conn *track(struct sock *sk)
{
	struct conn *k = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!k) {
		count(COUNT_STORAGE_FULL);
		return 0;
	}
	if (!k->cookie) {
		u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);

		k->cookie = bpf_get_socket_cookie(sk);
		k->inbound = bpf_map_lookup_elem(&ports, &port) != 0;
	}
	return k;
}

static __always_inline bool is_tcp(struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family;

	return family == AF_INET || family == AF_INET6;
}

#include "headers/frames.h"

static __always_inline int transfer(struct target *c, struct sock *sk, int n, bool sent)
{
	struct scratch *s;
	struct conn *k;
	u64 context, arrive;

	k = track(sk);
	if (!k)
		return 0;
	settle(c);
	context = current_context(c);
	if (!k->known)
		announce(k, sk, context, 1);
	arrive = k->arrive;
	if (!sent)
		k->arrive = 0;
	s = scratch();
	if (!s)
		return 0;
	fill(&s->e, sent ? EVENT_SEND : EVENT_RECV);
	s->e.sock = k->cookie;
	s->e.context = context == 1 ? 0 : context;
	s->e.flags = (k->inbound ? FLAG_INBOUND : 0) | (context == 1 ? FLAG_NO_THREAD : 0) | (stale(c, context) ? FLAG_STALE : 0);
	s->e.len = n;
	s->e.arrive = arrive;
	endpoints(&s->e, sk);
	if (!user_vector(&s->v, n) && n)
		count(COUNT_PAYLOAD_UNREADABLE);
	if (n && k->sniff && sent != k->inbound) { /* the client speaks: servers may send their settings before */
		k->sniff--;
		k->http2 = sniff_http2(k, s->v.base, sent);
		if (k->http2)
			k->sniff = 0;
	}
	return k->http2 ? emit_frames(s, sent ? &k->sent : &k->received, sent) : emit_payload(s);
}

static __always_inline int timed_transfer(struct sock *sk, int n, bool sent)
{
	struct target *c = current_target();
	u64 start;

	if (!c || n < 0 || !is_tcp(sk))
		return 0;
	start = bpf_ktime_get_ns();
	transfer(c, sk, n, sent);
	add(COUNT_SPENT_NS, bpf_ktime_get_ns() - start);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv, struct sock *sk, int ret, int flags)
{
	return flags & MSG_PEEK ? 0 : timed_transfer(sk, ret, false);
}

/* The socket was full: nothing was taken. Only responses are of interest, and only after their first bytes. */
static __always_inline int refused(struct sock *sk)
{
	struct conn *k = current_target() ? bpf_sk_storage_get(&conns, sk, 0, 0) : 0;
	struct event *e;

	if (!k || !k->inbound)
		return 0;
	e = reserve(EVENT_SEND);
	if (!e)
		return 0;
	e->sock = k->cookie;
	e->flags = FLAG_INBOUND | FLAG_SHORT;
	bpf_ringbuf_submit(e, wakeup());
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send, struct sock *sk, int ret, int flags)
{
	if (ret == -EAGAIN)
		return is_tcp(sk) ? refused(sk) : 0;
	return ret ? timed_transfer(sk, ret, true) : 0;
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(data_ready, struct sock *sk)
{
	struct conn *k = bpf_sk_storage_get(&conns, sk, 0, 0);

	if (k && !k->arrive)
		k->arrive = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int conn_note(struct conn *k, u8 type)
{
	struct event *e = reserve(type);

	if (!e)
		return 0;
	e->sock = k->cookie;
	e->flags = k->inbound ? FLAG_INBOUND : 0;
	bpf_ringbuf_submit(e, wakeup());
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int old, int new)
{
	struct conn *k;

	if (!is_tcp(sk))
		return 0;
	if (new == TCP_SYN_SENT) {
		struct target *c = current_target();

		if (!c || !(k = track(sk)))
			return 0;
		k->inbound = 0;
		announce(k, sk, current_context(c), 0);
		return 0;
	}
	if (new == TCP_ESTABLISHED) {
		u16 port = sk->__sk_common.skc_num;

		k = bpf_sk_storage_get(&conns, sk, 0, 0);
		if (k)
			return conn_note(k, EVENT_OPENED);
		if (!bpf_map_lookup_elem(&ports, &port) || !(k = track(sk)))
			return 0;
		announce(k, sk, 0, 0);
		return 0;
	}
	if (new == TCP_CLOSE) {
		k = bpf_sk_storage_get(&conns, sk, 0, 0);
		if (k && k->known)
			conn_note(k, EVENT_CLOSE);
	}
	return 0;
}

/* accept4() of libc returned: from the file descriptor to the socket. */
SEC("uretprobe")
int accepted(struct pt_regs *regs)
{
	struct target *c = current_target();
	int fd = PT_REGS_RC(regs);
	struct file **fds, *f = 0;
	struct socket *socket;
	struct sock *sk;
	struct fdtable *table;
	struct event *e;

	if (!c || fd < 0)
		return 0;
	table = BPF_CORE_READ(bpf_get_current_task_btf(), files, fdt);
	if (fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	fds = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&f, sizeof(f), &fds[fd]);
	if (!f || (BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(f, private_data);
	e = reserve(EVENT_ACCEPT);
	if (!e)
		return 0;
	sk = BPF_CORE_READ(socket, sk);
	e->sock = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	endpoints(e, sk);
	bpf_ringbuf_submit(e, wakeup());
	return 0;
}

/* Keep what Go needs in the type information. */
const struct event *unused_event __attribute__((unused));
const enum event_type *unused_type __attribute__((unused));
const enum event_flag *unused_flag __attribute__((unused));
const enum counter *unused_counter __attribute__((unused));
const struct addresses *unused_addresses __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
