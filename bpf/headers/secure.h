/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * TLS as the socket sees it. Its bytes say nothing to us, so a transfer is a CIPHER without payload, and what the
 * TLS library makes of it is told by tls.bpf.c, which finds here what it cannot know itself: the connection.
 *
 *   received, nothing read out of it yet ─► CIPHER; its random bytes are remembered, to know them again in the library
 *   received later                       ─► its arrival only: the plaintext is the event
 *   sent                                 ─► CIPHER: when what was written before reached the kernel
 *
 * Session tickets may wait in a client's socket since before the first request was sent, to be read together with its
 * answer: until something was read out of a connection that the target made, the newest arrival counts, not the first.
 */
#ifndef RAGSCOPE_SECURE_H
#define RAGSCOPE_SECURE_H

struct secure {
	u64 arrive; /* of the newest ciphertext */
	u64 sent;   /* ciphertext handed to the kernel so far */
	u16 lport, rport;
	u8 inbound, sniff;
	u8 followed, heard; /* its plaintext was seen; was read */
};
/* By socket cookie. 16,384 TLS connections in use at a time; an evicted one is followed again from its next transfer on. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct secure);
} secure SEC(".maps");

/*
 * 32 bytes of a received piece that no two pieces share. A record begins with 5 bytes of header. In a hello 6 bytes later 32
 * random ones follow, but that of HelloRetryRequest is a constant; the session id after it, the client's own, is not.
 * Anything else is encrypted, after at most 8 bytes of a counter.
 */
struct greeting {
	u8 random[16], session[16];
};
#define RANDOM_AT 13
#define SESSION_AT 44

/* Greeting ─► cookie. Each lives from the socket to the library: 4,096 handshakes under way. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct greeting);
	__type(value, u64);
} greetings SEC(".maps");

static __always_inline bool read_greeting(struct greeting *g, u64 at, u64 len)
{
	__builtin_memset(g, 0, sizeof(*g));
	if (len < RANDOM_AT + sizeof(g->random))
		return false;
	if (len >= SESSION_AT + sizeof(g->session))
		bpf_probe_read_user(g->session, sizeof(g->session), (void *)(at + SESSION_AT));
	return !bpf_probe_read_user(g->random, sizeof(g->random), (void *)(at + RANDOM_AT));
}

/* Handshake or application data of SSL 3 to TLS 1.3, at most a record long. */
static __always_inline bool begins_record(u64 base)
{
	u8 h[5] = {};

	bpf_probe_read_user(h, sizeof(h), (void *)base);
	return (h[0] == 0x16 || h[0] == 0x17) && h[1] == 3 && h[2] <= 4 && (h[3] << 8 | h[4]) <= 16384 + 2048;
}

static __always_inline struct secure *secure_of(struct event *e, u8 sniff)
{
	struct secure fresh = { .lport = e->lport, .rport = e->rport, .inbound = e->flags & FLAG_INBOUND, .sniff = sniff };
	u64 cookie = e->sock;
	struct secure *v = bpf_map_lookup_elem(&secure, &cookie);

	if (v)
		return v;
	bpf_map_update_elem(&secure, &cookie, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&secure, &cookie);
}

/* Takes a transfer of a TLS connection; s->e and s->v are filled in. */
static __always_inline int emit_cipher(struct scratch *s, bool sent, u8 sniff, u64 newest)
{
	struct secure *v = secure_of(&s->e, sniff);
	u64 cookie = s->e.sock;
	struct greeting g;

	if (!v)
		return 0;
	if (sent) {
		v->sent += s->e.len;
		if (s->v.iov)
			gather_head(s, 0);
		if (took_less(s))
			s->e.flags |= FLAG_SHORT;
		s->e.flags |= FLAG_SENT;
	} else {
		if (s->e.arrive)
			v->arrive = v->heard || v->inbound ? s->e.arrive : newest;
		if (v->followed)
			return 0;
		if (read_greeting(&g, s->v.base, s->e.len))
			bpf_map_update_elem(&greetings, &g, &cookie, BPF_ANY);
	}
	s->e.type = EVENT_CIPHER;
	output(s, 0);
	return 0;
}
#endif
