/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * HTTP/2: one write may hold the frames of 200 calls, far more than a captured head, and a lost frame
 * boundary loses the connection. So the frames are walked here:
 *
 *   header (9 bytes, maybe across segments and calls) ─► skip its payload, keeping the first bytes ─► header …
 *
 * Out: records of {header[9], enum part, captured (u16), bytes}, for the frames that matter. A frame whose
 * payload goes on in later transfers has a record in each of them.
 */
#ifndef RAGSCOPE_FRAMES_H
#define RAGSCOPE_FRAMES_H

#define FRAME_DATA 0
#define FRAME_HEADERS 1
#define FRAME_RST 3
#define FRAME_SETTINGS 4
#define FRAME_PING 6
#define FRAME_GOAWAY 7
#define FRAME_WINDOW_UPDATE 8
#define FRAME_CONTINUATION 9
#define FRAME_LENGTH_MAX (1 << 20) /* the default is 16 KiB, gRPC raises it; more than this is no frame */
#define RECORD 12
#define KEEP_HEADERS 1024 /* a request's header block with cookies or metadata; at most HEAD_MAX */
#define KEEP_DATA 64	 /* 5 bytes of gRPC prefix and a fingerprint of the message */
#define STEPS_MAX 4096	 /* a step is a segment, a header or a payload: about 1,300 frames a transfer */

static __always_inline bool sane(u8 *h)
{
	u32 length = h[0] << 16 | h[1] << 8 | h[2], stream = h[5] | h[6] | h[7] | h[8];
	bool of_all = h[3] == FRAME_SETTINGS || h[3] == FRAME_PING || h[3] == FRAME_GOAWAY;

	if (of_all ? stream : !stream && h[3] != FRAME_WINDOW_UPDATE)
		return false; /* zeros are no frame, above all */
	return length <= FRAME_LENGTH_MAX && h[3] <= FRAME_CONTINUATION && !(h[5] & 0x80) && !(h[3] == FRAME_PING && length != 8) &&
	       !(h[3] == FRAME_WINDOW_UPDATE && length != 4) && !(h[3] == FRAME_SETTINGS && length % 6);
}

static __always_inline bool letter(u8 c) { return c >= 'A' && c <= 'Z'; }

/* Looks: how many transfers may still tell, this one too. */
static __always_inline bool sniff_http2(struct walk *w, u8 *looks, u64 base, bool sent)
{
	u8 h[16] = {};

	--*looks;
	bpf_probe_read_user(h, sizeof(h), (void *)base);
	if (h[0] == 'P' && h[1] == 'R' && h[2] == 'I' && h[3] == ' ' && h[6] == 'H') {
		w->skip = 24;		   /* the preface: passed over like */
		w->header[3] = FRAME_PING; /* a frame that is not recorded */
		*looks = 0;
		return true;
	}
	if (h[0] == '*' || (letter(h[0]) && letter(h[1]) && letter(h[2]))) {
		*looks = 0; /* HTTP/1 or Redis for good: the body of a request may well look like a frame */
		return false;
	}
	/* joined midway: no other protocol that we know begins a message like a frame */
	if (!sane(h) || h[0] || (h[3] == FRAME_HEADERS && !(h[8] & 1 || h[7] || h[6])))
		return false;
	*looks = 0;
	return true;
}

static __always_inline void mark(struct scratch *s, u8 part)
{
	u32 record = s->w.record - 1;

	if (!s->w.record)
		return;
	barrier_var(record);
	s->data[(record & (SCRATCH - 1)) + 9] |= part;
}

static __always_inline void flush_frames(struct scratch *s)
{
	struct walker *w = &s->w;

	if (!w->out)
		return;
	s->e.head = w->out;
	s->e.tail = 0;
	output(s, w->out);
	w->out = 0;
	w->record = 0;
	s->e.flags &= ~FLAG_DESYNC;
}

static __always_inline u32 frame_keep(u8 type, u8 sent)
{
	switch (type) {
	case FRAME_HEADERS:
	case FRAME_CONTINUATION:
		return KEEP_HEADERS;
	case FRAME_DATA:
		return sent ? KEEP_DATA : 0;
	case FRAME_SETTINGS:
		return 60;
	default:
		return 8;
	}
}

static __always_inline bool recorded(u8 type)
{
	return type <= FRAME_SETTINGS || type == FRAME_GOAWAY || type == FRAME_CONTINUATION; /* not PING, WINDOW_UPDATE, PUSH_PROMISE */
}

static __always_inline void begin_record(struct scratch *s, u8 part)
{
	struct walker *w = &s->w;
	u32 at = w->out;

	barrier_var(at);
	at &= SCRATCH - 1;
	__builtin_memcpy(s->data + at, s->header, 9);
	s->data[at + 9] = part;
	s->data[at + 10] = s->data[at + 11] = 0;
	w->record = w->out + 1; /* 0: none */
	w->out += RECORD;
}

static __always_inline void begin_frame(struct scratch *s)
{
	struct walker *w = &s->w;
	u8 *h = s->header, type = h[3];

	w->w.skip = h[0] << 16 | h[1] << 8 | h[2];
	w->w.keep = 0;
	w->record = 0;
	if (!recorded(type))
		return;
	if (w->out > SCRATCH - RECORD - KEEP_HEADERS)
		flush_frames(s);
	begin_record(s, 0);
	w->w.keep = frame_keep(type, w->sent);
}

static __always_inline void keep_payload(struct scratch *s, u32 n)
{
	struct walker *w = &s->w;
	u32 record = w->record - 1, kept;

	if (!w->record)
		return;
	if (n > w->w.keep) {
		mark(s, PART_CUT);
		n = w->w.keep;
	}
	if (!n)
		return;
	if (!copy_user(s, w->out, n, w->base)) {
		w->w.keep = 0;
		count(COUNT_PAYLOAD_UNREADABLE);
		return;
	}
	w->out += n;
	w->w.keep -= n;
	kept = w->out - record - RECORD;
	barrier_var(record);
	record &= SCRATCH - 1;
	s->data[record + 10] = kept;
	s->data[record + 11] = kept >> 8;
}

static __always_inline void advance(struct walker *w, u32 n)
{
	w->base += n;
	w->len -= n;
	w->left -= n;
}

static int walk_step(u32 i, void *unused)
{
	struct scratch *s = scratch();
	struct walker *w;
	u32 n, have;

	if (!s)
		return 1;
	w = &s->w;
	if (!w->left)
		return 1;
	if (!w->len) {
		struct segment seg = {};

		if (w->index >= s->v.count)
			return 1;
		bpf_probe_read_user(&seg, sizeof(seg), (void *)(s->v.iov + w->index++ * sizeof(seg)));
		w->base = seg.base;
		w->len = seg.len < w->left ? seg.len : w->left;
		return 0;
	}
	if (w->w.skip) {
		n = w->w.skip < w->len ? w->w.skip : w->len;
		keep_payload(s, n);
		w->w.skip -= n;
		advance(w, n);
		return 0;
	}
	have = w->w.have & 15;
	n = 9 - have;
	if (n > w->len)
		n = w->len;
	barrier_var(n);
	if (bpf_probe_read_user(s->header + have, n & 15, (void *)w->base))
		return 1;
	w->w.have = have + n;
	advance(w, n);
	if (w->w.have < 9)
		return 0;
	w->w.have = 0;
	if (!sane(s->header)) {
		w->w.desync = 1;
		count(COUNT_FRAMES_DESYNC);
		return 1; /* the next transfer begins with a frame again, most likely */
	}
	begin_frame(s);
	return 0;
}

static __always_inline int emit_frames(struct scratch *s, struct walk *state, bool sent)
{
	struct walker *w = &s->w;

	*w = (struct walker){ .w = *state, .left = s->v.total, .sent = sent };
	if (!s->v.iov) {
		w->base = s->v.base;
		w->len = s->v.total;
	}
	__builtin_memcpy(s->header, state->header, 9);
	s->e.type = EVENT_FRAMES;
	s->e.flags |= (sent ? FLAG_SENT : 0) | (w->w.desync ? FLAG_DESYNC : 0);
	w->w.desync = 0;
	if (w->w.skip && recorded(s->header[3]))
		begin_record(s, PART_MORE);
	bpf_loop(STEPS_MAX, walk_step, 0, 0);
	if (w->left && !w->w.desync) {
		count(COUNT_FRAMES_CLIPPED);
		w->w.desync = 1;
		w->w.skip = w->w.have = 0;
	}
	if (w->w.skip)
		mark(s, PART_OPEN);
	flush_frames(s);
	*state = w->w;
	__builtin_memcpy(state->header, s->header, 9);
	return 0;
}
#endif
