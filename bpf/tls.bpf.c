//go:build ignore

// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Plaintext of TLS connections, at the functions of libssl that every reader and writer goes through:
 *
 *   SSL_do_handshake ─┐
 *   ssl_read  entry  ─┴► a session not known yet is bound to its connection
 *   ssl_read  return ──► RECV or FRAMES, FLAG_TLS, with the arrival of the ciphertext
 *   ssl_write entry  ──► SEND or FRAMES, FLAG_TLS; the CIPHER that follows says when it reached the kernel
 *   SSL_free         ──► the session is forgotten: its address may be another's next
 *
 * Which connection a session (an SSL *) belongs to, its read BIO tells:
 *   a socket  ─► file descriptor ─► socket
 *   memory    ─► the ciphertext that waits in it was received on a connection a moment ago: headers/secure.h has
 *                its random bytes. asyncio and uvloop read a socket before they call the library, anyio (httpx)
 *                even in another turn of the loop with other connections between, so the order of events proves nothing.
 *
 * The return probe is on a C function that runs no Python code: CPython's BIOs are OpenSSL's own.
 */
#include "headers/maps.h"
/* Of its own: a probe of user space may be preempted, and a socket program run meanwhile. */
#define scratches tls_scratches
#include "headers/payload.h"
#include "headers/secure.h"
#include "headers/frames.h"
#include "headers/descriptor.h"

struct session {
	u64 cookie;
	u64 buf, num, mark; /* the newest write, and the ciphertext sent before it */
	struct walk sent, received;
	u8 inbound, http2, sniff;
	u8 on_socket; /* its BIO is a socket: the library itself reads and writes there */
};
/* As many as connections, see secure. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct object);
	__type(value, struct session);
} sessions SEC(".maps");

struct reading {
	u64 ssl, buf, count; /* count: where the library says how much it read */
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct reading);
} readings SEC(".maps");

/* Whether a thread of this CPU is inside: the scratch is one per CPU, and these programs may be preempted. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} occupied SEC(".maps");

#define BIO_MEMORY 1
#define BIO_SOCKET 5

/* struct bio_st from its method to its ptr, unchanged from OpenSSL 1.1.1 to 3.5; num is the file descriptor. */
#define METHOD_BEFORE_PTR 56
#define NUM_BEFORE_PTR 8

/* The connection that received what waits in a memory BIO: {BUF_MEM *whole, *unread}, BUF_MEM {length, data, …}. */
static __always_inline u64 received_on(u64 memory)
{
	u64 unread = user_u64(memory + 8), *cookie;
	struct greeting g;

	if (!read_greeting(&g, user_u64(unread + 8), user_u64(unread)))
		return 0;
	cookie = bpf_map_lookup_elem(&greetings, &g);
	return cookie ? *cookie : 0;
}

static __always_inline struct session *bind(struct object *key, u64 layout)
{
	u64 rbio = user_u64(key->at + (layout & 0xffff)), ptr = layout >> 16 & 0xffff;
	u8 kind = user_u64(user_u64(rbio + ptr - METHOD_BEFORE_PTR));
	struct session fresh = { .on_socket = kind == BIO_SOCKET };
	struct secure *v;

	if (kind == BIO_SOCKET) {
		struct sock *sk = sock_of((int)user_u64(rbio + ptr - NUM_BEFORE_PTR));

		if (sk)
			fresh.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	} else if (kind == BIO_MEMORY) {
		fresh.cookie = received_on(user_u64(rbio + ptr));
	}
	v = fresh.cookie ? bpf_map_lookup_elem(&secure, &fresh.cookie) : 0;
	if (!v)
		return 0;
	fresh.inbound = v->inbound;
	fresh.sniff = v->sniff;
	bpf_map_update_elem(&sessions, key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&sessions, key);
}

/* The probe's cookie says where SSL keeps its read BIO (16 bits) and a BIO its ptr (16 bits). */
static __always_inline struct session *session_of(struct pt_regs *regs, u64 ssl)
{
	struct object key = object_at(ssl);
	struct session *k = bpf_map_lookup_elem(&sessions, &key);

	return k ? k : bind(&key, bpf_get_attach_cookie(regs));
}

static __always_inline int emit_plain(struct scratch *s, struct target *c, struct session *k, struct secure *v, bool sent, u64 now)
{
	struct thread *t = this_thread();
	u64 context;

	settle(c, t);
	context = current_context(c, t);
	fill(&s->e, sent ? EVENT_SEND : EVENT_RECV, now);
	s->e.sock = k->cookie;
	s->e.context = context == 1 ? 0 : context;
	s->e.flags = FLAG_TLS | (k->inbound ? FLAG_INBOUND : 0) | (context == 1 ? FLAG_NO_THREAD : 0) | (stale(c, context) ? FLAG_STALE : 0);
	s->e.len = s->v.total;
	s->e.arrive = sent ? 0 : v->arrive;
	s->e.lport = v->lport;
	s->e.rport = v->rport;
	v->followed = 1;
	v->heard |= !sent;
	if (k->sniff && sent != k->inbound)
		k->http2 = sniff_http2(sent ? &k->sent : &k->received, &k->sniff, s->v.base, sent);
	return k->http2 ? emit_frames(s, sent ? &k->sent : &k->received, sent) : emit_payload(s);
}

static __always_inline int plain(struct target *c, struct session *k, u64 buf, u64 n, bool sent, u64 now)
{
	struct secure *v = bpf_map_lookup_elem(&secure, &k->cookie);
	struct scratch *s = scratch();
	u32 zero = 0;
	u64 *inside = bpf_map_lookup_elem(&occupied, &zero);

	if (!v) {
		count(COUNT_TLS_UNBOUND);
		return 0;
	}
	if (!s || !inside)
		return 0;
	if (*inside) {
		count(COUNT_TLS_BUSY);
		return 0;
	}
	*inside = 1;
	s->v = (struct vector){ .base = buf, .room = n, .total = n };
	emit_plain(s, c, k, v, sent, now);
	*inside = 0;
	return 0;
}

/* A write that the socket could not take whole is made again with the same arguments: by then its ciphertext is not all sent. */
static __always_inline bool again(struct session *k, u64 buf, u64 num)
{
	struct secure *v = k->on_socket ? bpf_map_lookup_elem(&secure, &k->cookie) : 0;

	if (!v)
		return false;
	if (k->buf == buf && k->num == num && v->sent - k->mark < num)
		return true;
	k->buf = buf;
	k->num = num;
	k->mark = v->sent;
	return false;
}

SEC("uprobe")
int tls_write(struct pt_regs *regs)
{
	u64 buf = PT_REGS_PARM2(regs), num = PT_REGS_PARM3(regs);
	struct target *c = current_target();
	struct session *k;
	struct timing t;

	if (!c || !num)
		return 0;
	t = timed(PROGRAM_TLS_WRITE);
	k = session_of(regs, PT_REGS_PARM1(regs));
	if (!k)
		count(COUNT_TLS_UNBOUND);
	else if (!again(k, buf, num))
		plain(c, k, buf, num, true, t.start);
	return spent(t);
}

SEC("uprobe")
int tls_read_begin(struct pt_regs *regs)
{
	struct reading *r;
	struct timing t;

	if (!current_target())
		return 0;
	t = timed(PROGRAM_TLS_READ);
	r = bpf_task_storage_get(&readings, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!r) {
		count(COUNT_STORAGE_FULL);
		return 0;
	}
	r->ssl = PT_REGS_PARM1(regs);
	r->buf = PT_REGS_PARM2(regs);
	r->count = PT_REGS_PARM4(regs);
	session_of(regs, r->ssl);
	return spent(t);
}

SEC("uretprobe")
int tls_read(struct pt_regs *regs)
{
	struct target *c = current_target();
	struct session *k;
	struct reading *r;
	struct timing t;
	u64 n;

	if (!c)
		return 0;
	t = timed(PROGRAM_TLS_READ);
	if ((int)PT_REGS_RC(regs) <= 0)
		return spent(t);
	r = bpf_task_storage_get(&readings, bpf_get_current_task_btf(), 0, 0);
	n = r ? user_u64(r->count) : 0;
	if (!n)
		return spent(t);
	k = session_of(regs, r->ssl);
	if (k)
		plain(c, k, r->buf, n, false, t.start);
	else
		count(COUNT_TLS_UNBOUND);
	return spent(t);
}

SEC("uprobe")
int tls_handshake(struct pt_regs *regs)
{
	struct timing t;

	if (!current_target())
		return 0;
	t = timed(PROGRAM_TLS_SESSION);
	session_of(regs, PT_REGS_PARM1(regs));
	return spent(t);
}

SEC("uprobe")
int tls_free(struct pt_regs *regs)
{
	struct object key = object_at(PT_REGS_PARM1(regs));
	struct timing t;

	if (!current_target())
		return 0;
	t = timed(PROGRAM_TLS_SESSION);
	bpf_map_delete_elem(&sessions, &key);
	return spent(t);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
