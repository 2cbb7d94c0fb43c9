//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * TCP of the watched processes: what was read and written, by whom, and since when it could be read.
 *
 *   inet_sock_set_state  SYN_SENT by the target ──► CONN ──► ESTABLISHED: OPENED ──► CLOSE
 *                        ESTABLISHED on a watched port ──► CONN (inbound) ──► CLOSE
 *                        LISTEN on a watched port ──► LISTEN
 *   sk_data_ready        bytes arrive: remember the first arrival until the next read
 *   sock_recv_length     RECV or FRAMES, with that arrival
 *   sock_send_length     SEND or FRAMES
 *
 * Of a TLS connection CIPHER comes instead, see headers/secure.h.
 * A connection that was open before we came gets its CONN (midway) at its first transfer. The state
 * lives in socket storage, so it dies with the socket and no address is ever reused.
 */
#include "headers/maps.h"
#include "headers/payload.h"
#include "headers/secure.h"
#include "headers/frames.h"
#include "headers/descriptor.h"

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
	u8 secret, look; /* it speaks TLS; transfers that may still tell */
	u64 newest; /* arrival, of connections that the target made, and of TLS */
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
	e->lport = sk->__sk_common.skc_num;
	e->rport = bpf_ntohs(sk->__sk_common.skc_dport);
}

static __always_inline void announce(struct conn *k, struct sock *sk, u64 context, u8 midway, u64 now)
{
	struct conn_event *c = bpf_ringbuf_reserve(&events, sizeof(*c), 0);

	if (!c) {
		count(COUNT_RINGBUF_FULL);
		return;
	}
	fill(&c->e, EVENT_CONN, now);
	c->e.sock = k->cookie;
	c->e.context = context;
	c->e.flags = (k->inbound ? FLAG_INBOUND : 0) | (midway ? FLAG_MIDWAY : 0);
	c->e.head = sizeof(c->a);
	endpoints(&c->e, sk);
	if (sk->__sk_common.skc_family == AF_INET) {
		mapped(c->a.local, sk->__sk_common.skc_rcv_saddr);
		mapped(c->a.remote, sk->__sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&c->a.local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&c->a.remote, sk, __sk_common.skc_v6_daddr);
	}
	submit(c);
	k->known = 1;
	k->sniff = midway ? 8 : 1;
	k->look = midway ? 8 : 4;
}

static __always_inline struct conn *track(struct sock *sk)
{
	struct conn *k = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!k) {
		count(COUNT_STORAGE_FULL);
		return 0;
	}
	if (!k->cookie) {
		u16 port = sk->__sk_common.skc_num;

		k->cookie = bpf_get_socket_cookie(sk);
		k->inbound = bpf_map_lookup_elem(&ports, &port) != 0;
	}
	return k;
}

static __always_inline bool is_tcp(struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family;

	return (family == AF_INET || family == AF_INET6) && sk->sk_protocol == IPPROTO_TCP;
}

static __always_inline void transfer(struct target *c, struct sock *sk, int n, bool sent, u64 now)
{
	struct conn *k = track(sk);
	struct scratch *s = scratch();
	struct thread *t;
	u64 context, arrive;

	if (!k || !s)
		return;
	t = this_thread();
	settle(c, t);
	context = current_context(c, t);
	if (!k->known)
		announce(k, sk, context, 1, now);
	arrive = k->arrive;
	if (!sent)
		k->arrive = 0;
	fill(&s->e, sent ? EVENT_SEND : EVENT_RECV, now);
	s->e.sock = k->cookie;
	s->e.context = context == 1 ? 0 : context;
	s->e.flags = (k->inbound ? FLAG_INBOUND : 0) | (context == 1 ? FLAG_NO_THREAD : 0) | (stale(c, context) ? FLAG_STALE : 0);
	s->e.len = n;
	s->e.arrive = arrive;
	endpoints(&s->e, sk);
	if (!user_vector(&s->v, n) && n)
		count(COUNT_PAYLOAD_UNREADABLE);
	if (n && k->look) {
		k->look--;
		k->secret = begins_record(s->v.base);
		if (k->secret)
			k->look = 0;
	}
	if (k->secret) {
		emit_cipher(s, sent, k->sniff, k->newest);
		return;
	}
	if (n && k->sniff && sent != k->inbound) /* the client speaks: servers may send their settings before */
		k->http2 = sniff_http2(sent ? &k->sent : &k->received, &k->sniff, s->v.base, sent);
	if (k->http2)
		emit_frames(s, sent ? &k->sent : &k->received, sent);
	else {
		if (!sent && arrive && !k->inbound)
			s->e.other = k->newest;
		emit_payload(s);
	}
}

static __always_inline int on_recv(struct sock *sk, int ret, int flags)
{
	struct target *c = current_target();
	struct timing t;

	if (!c || ret < 0 || flags & MSG_PEEK || !is_tcp(sk))
		return 0;
	t = timed(PROGRAM_SOCK_RECV);
	transfer(c, sk, ret, false, t.start);
	return spent(t);
}

/* The socket was full: nothing was taken. Only responses are of interest, and only after their first bytes. */
static __always_inline void refused(struct sock *sk, u64 now)
{
	struct conn *k = bpf_sk_storage_get(&conns, sk, 0, 0);
	struct event *e;

	if (!k || !k->inbound)
		return;
	e = reserve(EVENT_SEND, now);
	if (!e)
		return;
	e->sock = k->cookie;
	e->flags = FLAG_INBOUND | FLAG_SHORT;
	submit(e);
}

static __always_inline int on_send(struct sock *sk, int ret)
{
	struct target *c = current_target();
	struct timing t;

	if (!c || !is_tcp(sk) || (ret <= 0 && ret != -EAGAIN))
		return 0;
	t = timed(PROGRAM_SOCK_SEND);
	if (ret > 0)
		transfer(c, sk, ret, true, t.start);
	else
		refused(sk, t.start);
	return spent(t);
}

static __always_inline int on_data(struct sock *sk)
{
	struct conn *k = bpf_sk_storage_get(&conns, sk, 0, 0);

	if (k && (!k->arrive || !k->inbound || k->secret)) {
		k->newest = bpf_ktime_get_ns();
		if (!k->arrive)
			k->arrive = k->newest;
	}
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv, struct sock *sk, int ret, int flags)
{
	return on_recv(sk, ret, flags);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send, struct sock *sk, int ret, int flags)
{
	return on_send(sk, ret);
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(data_ready, struct sock *sk)
{
	return on_data(sk);
}

/*
 * Before Linux 6.3 these three tracepoints are not there. In their place: the functions around them, where the kernel
 * traces functions. User space loads either.
 */
SEC("fexit/tcp_recvmsg")
int BPF_PROG(sock_recv_old, struct sock *sk, void *msg, u64 len, int flags, int *addr_len, int ret)
{
	return on_recv(sk, ret, flags);
}

SEC("fexit/tcp_sendmsg")
int BPF_PROG(sock_send_old, struct sock *sk, void *msg, u64 size, int ret)
{
	return on_send(sk, ret);
}

SEC("fentry/sock_def_readable")
int BPF_PROG(data_ready_old, struct sock *sk)
{
	return on_data(sk);
}

static __always_inline int conn_note(struct conn *k, u8 type)
{
	struct event *e = reserve(type, bpf_ktime_get_ns());

	if (!e)
		return 0;
	e->sock = k->cookie;
	e->flags = k->inbound ? FLAG_INBOUND : 0;
	submit(e);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int old, int new)
{
	u16 port = sk->__sk_common.skc_num;
	struct conn *k;

	if (!is_tcp(sk))
		return 0;
	if (new == TCP_SYN_SENT) {
		struct target *c = current_target();

		if (!c || !(k = track(sk)))
			return 0;
		k->inbound = 0;
		announce(k, sk, current_context(c, this_thread()), 0, bpf_ktime_get_ns());
		return 0;
	}
	if (new == TCP_LISTEN) {
		if (bpf_map_lookup_elem(&ports, &port))
			note(EVENT_LISTEN, 0, 0, 0, bpf_ktime_get_ns());
		return 0;
	}
	if (new == TCP_ESTABLISHED) {
		k = bpf_sk_storage_get(&conns, sk, 0, 0);
		if (k)
			return conn_note(k, EVENT_OPENED);
		if (!bpf_map_lookup_elem(&ports, &port) || !(k = track(sk)))
			return 0;
		announce(k, sk, 0, 0, bpf_ktime_get_ns());
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
	struct sock *sk;
	struct timing t;
	struct event *e;

	if (!c)
		return 0;
	t = timed(PROGRAM_ACCEPTED);
	sk = sock_of((int)PT_REGS_RC(regs));
	if (!sk)
		return 0;
	e = reserve(EVENT_ACCEPT, t.start);
	if (!e)
		return 0;
	e->sock = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	e->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
	e->rport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	submit(e);
	return spent(t);
}

/*
 * uvloop 0.17 to 0.22 sends at the end of the loop's turn, in a context that is nobody's. UVStream.write(self, …) is
 * where the writer's is current; self's libuv handle has the file descriptor.
 */
SEC("uprobe")
int queued(struct pt_regs *regs)
{
	struct target *c = current_target();
	struct thread *th;
	struct event *e;
	struct sock *sk;
	struct timing t;
	u64 context;

	if (!c || !c->uv_handle)
		return 0;
	t = timed(PROGRAM_QUEUED);
	sk = sock_of((int)user_u64(user_u64(PT_REGS_PARM1(regs) + c->uv_handle) + c->uv_fd));
	th = this_thread();
	settle(c, th);
	context = current_context(c, th);
	e = sk && context > 1 ? reserve(EVENT_QUEUED, t.start) : 0;
	if (!e)
		return 0;
	e->sock = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter); /* 0: nobody has asked for it yet */
	e->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
	e->rport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	e->context = context;
	e->flags = stale(c, context) ? FLAG_STALE : 0;
	submit(e);
	return spent(t);
}

/* Keep what Go needs in the type information. */
const struct event *unused_event __attribute__((unused));
const enum event_type *unused_type __attribute__((unused));
const enum event_flag *unused_flag __attribute__((unused));
const enum part *unused_part __attribute__((unused));
const enum program *unused_program __attribute__((unused));
const enum by_task *unused_by_task __attribute__((unused));
const struct runs *unused_runs __attribute__((unused));
const enum counter *unused_counter __attribute__((unused));
const struct addresses *unused_addresses __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
