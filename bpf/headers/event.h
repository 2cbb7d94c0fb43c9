/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What both sides share: bpf2go makes the Go types from these. */
#ifndef RAGSCOPE_EVENT_H
#define RAGSCOPE_EVENT_H
#include "kernel.h"

enum event_type {
	EVENT_RECV = 1, /* bytes read from a TCP socket; arrive: since when they could be; other: since when all of them could, 0: not known */
	EVENT_SEND,	/* bytes handed to the kernel */
	EVENT_FRAMES,	/* HTTP/2 frames of one transfer; flags: FLAG_SENT */
	EVENT_CONN,	/* a connection is known from here on; payload: addresses */
	EVENT_OPENED,	/* the target's own connect is established */
	EVENT_ACCEPT,	/* accept returned this connection */
	EVENT_CLOSE,
	EVENT_ENTER,	/* a thread enters context `other` */
	EVENT_COPY,	/* context `other` was copied from `context` */
	EVENT_NEW,	/* context `other` was made empty while `context` was current */
	EVENT_LOOP,	/* a thread polls with epoll: an event loop whose callbacks are done, or a call made in `context` */
	EVENT_SWITCH,	/* a thread was off the CPU from arrive to time; other: woken at; context: the lock that it slept in; len: the thread of its process that woke it, 0: none; flags: why */
	EVENT_SLEEP,	/* a thread goes to sleep in something else than epoll or the GIL; context: what it leaves it in; other: the lock */
	EVENT_GRPC_CALL,/* AioChannel.call: payload: method */
	EVENT_GRPC_START,/* _AioCall.unary_unary or a sync call: payload: head of the request message */
	EVENT_CIPHER,	/* bytes of a TLS connection moved; flags: FLAG_SENT. What they say comes apart, with FLAG_TLS */
	EVENT_QUEUED,	/* context writes to the socket, which will send at the end of the loop's turn */
	EVENT_WORK_PUT, /* work `other` is put in the queue of an executor, in context */
	EVENT_WORK_GOT, /* a thread takes work `other` out of it */
	EVENT_WORK_DONE,/* … and is done with it: it asks for more */
	EVENT_LISTEN,	/* a process listens on a watched port: it begins to serve, or another program does in its place */
	EVENT_SAMPLE,	/* a stack is taken of a thread, which runs context; flags: FLAG_FOREIGN … */
};

enum event_flag {
	FLAG_INBOUND = 1,  /* the connection was accepted by the target */
	FLAG_SENT = 2,	   /* EVENT_FRAMES: written, else read */
	FLAG_MIDWAY = 4,   /* EVENT_CONN: it was open before we came */
	FLAG_TLS = 4,	   /* EVENT_RECV, EVENT_SEND, EVENT_FRAMES: what a TLS library read or was given to write */
	FLAG_DESYNC = 8,   /* EVENT_FRAMES: frame boundaries were lost before this */
	FLAG_NO_THREAD = 16, /* the thread has no Python thread state: context is not known */
	FLAG_STALE = 32, /* the task that this context was made for has ended: its address is another's now */
	FLAG_SHORT = 64, /* EVENT_SEND to a client: the kernel took less than the call offered, the rest waits for the client */
	/* EVENT_SWITCH: what the thread did when it left the CPU */
	FLAG_PREEMPTED = 1,
	FLAG_EPOLL = 2,
	FLAG_GIL = 4,
	FLAG_SENDING = 8,  /* in a call that sends: the socket was full */
	FLAG_FUTEX = 16,   /* in a lock that is not the GIL */
	/* EVENT_SAMPLE */
	FLAG_FOREIGN = 1,  /* of no CPython, or one that cannot be read: all that is known is the thread */
	FLAG_BASE = 2,	   /* context is the thread's own, that nobody entered */
};

/* EVENT_FRAMES: what a record holds of its frame. */
enum part {
	PART_MORE = 1, /* it goes on with the frame of an earlier transfer */
	PART_CUT = 2,  /* captured bytes are missing at its end */
	PART_OPEN = 4, /* the frame's end is in a later transfer */
};

/* Everything that can be lost or misread on this side. */
enum counter {
	COUNT_RINGBUF_FULL,
	COUNT_THREAD_UNKNOWN,	/* no Python thread state found for a thread; C-core threads are expected here */
	COUNT_STORAGE_FULL,	/* no socket or task storage */
	COUNT_PAYLOAD_UNREADABLE,
	COUNT_FRAMES_CLIPPED,	/* more HTTP/2 frames in one transfer than we walk */
	COUNT_FRAMES_DESYNC,
	COUNT_IOV_CLIPPED,
	COUNT_TLS_UNBOUND,	/* bytes that a TLS library read or wrote on a connection that we cannot tell */
	COUNT_TLS_BUSY,	/* … while another thread of this CPU was inside our program */
	COUNT_TARGETS_FULL,	/* a worker that was forked is not watched until the agent finds it */
	COUNT_MAX,
};

/* The programs that run in the target's threads: what they cost is measured. */
enum program {
	PROGRAM_SOCK_RECV,
	PROGRAM_SOCK_SEND,
	PROGRAM_SCHED_SWITCH,
	PROGRAM_ACCEPTED,
	PROGRAM_ENTER,
	PROGRAM_LOOP,
	PROGRAM_COPIED,
	PROGRAM_MADE,
	PROGRAM_TASK_INIT,
	PROGRAM_GRPC,
	PROGRAM_TLS_READ,
	PROGRAM_TLS_WRITE,
	PROGRAM_TLS_SESSION,
	PROGRAM_QUEUED,
	PROGRAM_WORK_PUT,
	PROGRAM_WORK_GET,
	PROGRAM_WORK_GOT,
	PROGRAM_HANDLE,
	PROGRAM_MAX,
};

struct runs {
	u64 count;	/* of the program, for watched processes */
	u64 timed, ns;	/* runs whose time was taken, and that time */
};

#define HEAD_MAX 1024 /* a request head with its usual headers */
#define TAIL_MAX 256  /* the last object of a JSON stream; the end of a chunked body */

struct event {
	u64 time, arrive; /* CLOCK_MONOTONIC, ns */
	u64 sock;	  /* socket cookie: unique while the host runs */
	u64 context, other;
	u32 pid, tid;
	u32 len;	  /* bytes moved */
	u16 lport, rport;
	u16 head, tail;	  /* captured bytes that follow: the first of them, then the last */
	u8 type, flags;
	u8 pad[2];
};

enum by_task {
	BY_TASK_NO,	/* Task.__init__ is not probed */
	BY_TASK_REPORTED, /* its contexts are reported: PyContext_CopyCurrent is not probed */
	BY_TASK_KNOWN,	/* it is only kept which task a context is of, see stale() */
};

/* One per process, filled in by the agent before anything is attached to it. */
struct target {
	u64 runtime, runtime_end; /* _PyRuntime; 0: no CPython */
	u32 interp_head, threads, next, thread_id, context;
	u32 grpc_tuple; /* cygrpc's methods take a tuple (METH_VARARGS) */
	u32 task_context; /* offset of a task's context */
	u32 by_task;	/* BY_TASK_… */
	u32 uv_handle, uv_fd; /* of a uvloop that queues its writes; 0: it does not */
	u64 context_type; /* of the Contexts of a uvloop's callbacks, whose births are not probed; 0: they are */
	u32 inherited; /* from the process that forked it; 0: the agent knows it */
	u32 unused;
};
#endif
