/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The few kernel types that our programs read, with only the fields they read. CO-RE moves each
 * access to where the running kernel keeps the field, so no generated vmlinux.h is needed and one
 * source serves every architecture.
 */
#ifndef RAGSCOPE_KERNEL_H
#define RAGSCOPE_KERNEL_H
#define __VMLINUX_H__ /* bpf_tracing.h: registers by their kernel names */

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define MSG_PEEK 2
#define EAGAIN 11
#define S_IFMT 0170000
#define S_IFSOCK 0140000
enum { TCP_ESTABLISHED = 1, TCP_SYN_SENT = 2, TCP_CLOSE = 7, TCP_LISTEN = 10 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
struct thread_struct {
	unsigned long fsbase;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	u64 regs[31], sp, pc, pstate;
};
struct pt_regs {
	u64 regs[31], sp, pc, pstate, orig_x0;
	int syscallno;
};
struct thread_struct {
	struct {
		unsigned long tp_value;
	} uw;
};
#endif

struct in6_addr {
	u8 bytes[16];
};
typedef struct {
	long long counter;
} atomic64_t;
struct sock_common {
	u32 skc_daddr, skc_rcv_saddr;
	u16 skc_dport, skc_num, skc_family;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};
struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
};
struct socket {
	struct sock *sk;
};
struct inode {
	u16 i_mode;
};
struct file {
	struct inode *f_inode;
	void *private_data;
};
struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
};
struct task_struct {
	int pid, tgid;
	unsigned int __state;
	struct files_struct *files;
	struct thread_struct thread;
};
#pragma clang attribute pop

#endif
