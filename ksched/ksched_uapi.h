/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * ksched_uapi.h - what user space and the ksched module agree on. The only header of the module that user space sees;
 * compiles as C and as C++.
 *
 * Two kinds of process open /dev/ksched:
 *
 *   the IOKernel   claims the device (one at a time), adopts threads, and gives them cores: it writes a core's request
 *                  line, and kicks the core unless that core is watching the line by itself.
 *   a thread       opens the device for itself, enrols, and parks. PARK gives its core back and returns with the next.
 *
 * Shared memory, one cache line per core and writer, indexed by CPU number:
 *
 *   requests   written by the IOKernel, read by the kernel          KSCHED_MAP_REQUESTS, read and write
 *   status     written by the kernel, read by the IOKernel          KSCHED_MAP_STATUS, read only
 *   stats      written by the kernel, read by the IOKernel          KSCHED_MAP_STATS, read only
 *
 * Any change of layout or meaning raises KSCHED_ABI_VERSION.
 */
#ifndef KSCHED_UAPI_H
#define KSCHED_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KSCHED_DEVICE "/dev/ksched"
#define KSCHED_ABI_VERSION 1u

#define KSCHED_MAX_CPUS 1024
#define KSCHED_MAX_THREADS 4096 /* adopted at a time */

/*
 * What the IOKernel wants of a core. A grant is one 64-bit word, so that nobody sees half of it: the thread's handle
 * above, the grant's generation below. A generation differs from the one before; nothing else is asked of it.
 *
 * A grant is carried out when the core is free: at once, or when its holder parks. One grant per core may wait;
 * writing another one replaces it. A thread that has not parked yet, even one that has another core, gets the grant
 * all the same, and has it once it parks; it can have one such grant at a time, the next one's outcome is -EBUSY. A
 * holder that does not park in time (module parameter grace_us) while a grant waits is put off the core.
 */
struct ksched_request {
	__u64 grant;
	__u64 issued; /* cycle counter when the grant was written, for the latency histogram */
	__u32 cede;   /* generation of the grant whose holder shall give the core back */
	__u32 yield;  /* changes when the holder shall let another of its uthreads run */
	__u64 reserved[5];
} __attribute__((aligned(64)));

#define KSCHED_GRANT(thread, generation) (((__u64)(thread) << 32) | (__u32)(generation))

/* What became of it. */
struct ksched_status {
	__u32 served;	/* generation of the last grant that was carried out or refused */
	__s32 outcome;	/* of that grant: 0, or a negative error: -ESRCH the handle is stale, -EBUSY one waits for it */
	__u32 holder;	/* handle of the thread that has the core; 0: none, the core is idle as far as we know */
	__u32 watching; /* 1: the CPU watches the request line, a grant written before this was read needs no kick */
	__u64 reserved[6];
} __attribute__((aligned(64)));

#define KSCHED_LATENCY_BUCKETS 40

/* Counts since the device was claimed. */
struct ksched_stats {
	__u64 grants;	  /* carried out */
	__u64 refused;	  /* outcome not 0 */
	__u64 handovers;  /* of the grants, those that found the core held and waited for its holder to leave */
	__u64 kicks;	  /* interrupts taken because of a kick */
	__u64 cedes;	  /* signals sent */
	__u64 yields;	  /* signals sent */
	__u64 evictions;  /* holders put off the core */
	__u64 astray;	  /* the holder could not be bound to the CPU: it is offline */
	/* Bucket n: 2^n <= cycles from request.issued to the return from PARK < 2^(n + 1). */
	__u64 latency[KSCHED_LATENCY_BUCKETS];
} __attribute__((aligned(64)));

/* mmap offsets; each mapping has KSCHED_IOC_CLAIM's `cpus` entries, rounded up to pages. */
#define KSCHED_MAP_REQUESTS 0x000000
#define KSCHED_MAP_STATUS 0x100000
#define KSCHED_MAP_STATS 0x200000

struct ksched_claim {
	__u32 version; /* in: KSCHED_ABI_VERSION */
	__u32 cpus;    /* out: entries of each mapping */
};

struct ksched_adopt {
	__s32 tgid; /* in: process, and ... */
	__s32 tid;  /* in: ... thread of it, as the caller's pid namespace numbers them; it has enrolled */
	__u32 handle; /* out: its name in grants, never 0, not used again for long */
	__u32 reserved;
};

struct ksched_enrol {
	__u32 version;	    /* KSCHED_ABI_VERSION */
	__s32 cede_signal;  /* sent to the thread when its core is wanted back; 0: none */
	__s32 yield_signal; /* sent when it shall let another uthread run; 0: none */
	__u32 reserved;
};

struct ksched_mask {
	__u64 bits[KSCHED_MAX_CPUS / 64];
};

#define KSCHED_IOC_MAGIC 0xb7

/* Anybody. Returns KSCHED_ABI_VERSION. */
#define KSCHED_IOC_VERSION _IO(KSCHED_IOC_MAGIC, 0)

/*
 * A thread, on a file of its own. Errors: EPERM the file is another thread's; ESRCH it has not enrolled, or an exec
 * ended that; ENODEV no IOKernel holds the device (any more); EINTR a signal came first.
 */
#define KSCHED_IOC_ENROL _IOW(KSCHED_IOC_MAGIC, 1, struct ksched_enrol)
#define KSCHED_IOC_PARK _IO(KSCHED_IOC_MAGIC, 2)
/*
 * Any thread of the same process: PARK on this file returns ECANCELED, now or the next time it would sleep, whatever
 * the IOKernel does with the thread meanwhile.
 */
#define KSCHED_IOC_UNPARK _IO(KSCHED_IOC_MAGIC, 3)

/* The IOKernel: CAP_SYS_ADMIN, or the group that the module parameter `group` names. EBUSY: somebody else is it. */
#define KSCHED_IOC_CLAIM _IOWR(KSCHED_IOC_MAGIC, 16, struct ksched_claim)
#define KSCHED_IOC_ADOPT _IOWR(KSCHED_IOC_MAGIC, 17, struct ksched_adopt)
/* arg: a handle. The thread is nobody's; its PARK, this one or the next, returns ENODEV once. */
#define KSCHED_IOC_RELEASE _IO(KSCHED_IOC_MAGIC, 18)
/* arg: a CPU. It looks at its request line. */
#define KSCHED_IOC_KICK _IO(KSCHED_IOC_MAGIC, 19)
#define KSCHED_IOC_KICK_MASK _IOW(KSCHED_IOC_MAGIC, 20, struct ksched_mask)
/* arg: a handle. The thread loses its core, and one that waits for it, and goes on under Linux until it parks. */
#define KSCHED_IOC_EVICT _IO(KSCHED_IOC_MAGIC, 21)

#ifdef __cplusplus
#define KSCHED_ASSERT(condition) static_assert(condition, #condition)
#else
#define KSCHED_ASSERT(condition) _Static_assert(condition, #condition)
#endif
/* offsetof, whose header Linux and user space call by different names. */
#define KSCHED_AT(type, field, offset) KSCHED_ASSERT(__builtin_offsetof(struct type, field) == (offset))
KSCHED_AT(ksched_request, issued, 8);
KSCHED_AT(ksched_request, cede, 16);
KSCHED_AT(ksched_request, yield, 20);
KSCHED_AT(ksched_status, outcome, 4);
KSCHED_AT(ksched_status, holder, 8);
KSCHED_AT(ksched_status, watching, 12);
KSCHED_AT(ksched_stats, astray, 56);
KSCHED_AT(ksched_stats, latency, 64);
KSCHED_AT(ksched_adopt, handle, 8);
KSCHED_AT(ksched_enrol, yield_signal, 8);
KSCHED_ASSERT(sizeof(struct ksched_request) == 64);
KSCHED_ASSERT(sizeof(struct ksched_status) == 64);
KSCHED_ASSERT(sizeof(struct ksched_stats) == 384);
KSCHED_ASSERT(sizeof(struct ksched_claim) == 8);
KSCHED_ASSERT(sizeof(struct ksched_adopt) == 16);
KSCHED_ASSERT(sizeof(struct ksched_enrol) == 16);
KSCHED_ASSERT(sizeof(struct ksched_mask) == 128);

#endif /* KSCHED_UAPI_H */
