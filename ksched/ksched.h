/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ksched.h - what the files of the module share.
 *
 *   main.c     the device: open, ioctl, mmap, module load and unload
 *   claim.c    the IOKernel's end: claim, adopt, release, kick, evict
 *   thread.c   a thread's end: enrol, park, and its life: fork, exec, exit
 *   core.c     a core: carries out its request line
 *   bind.c     a thread's affinity
 *   watch.c    a core that was given back waits for the next grant
 *   compat.h   differences between kernel versions
 *
 * Locks, outermost first. The grant path takes only a core's and a thread's own.
 *
 *   ksched_thread.settling   a mutex: who changes the thread's affinity
 *   ksched_threads_lock   who is enrolled, the table of handles, claimed or not
 *   ksched_core.lock      irqs off; the core's fields, its status and stats lines
 *   ksched_thread.lock    irqs off; the thread's fields. Taken around the wake-up, too
 *
 * Contexts in which a core is served: the interrupt of a kick, PARK of its holder (which then watches for the next
 * grant), and whoever takes the core from its holder (evict, exit, release). Any CPU may do it, under the core's lock.
 */
#ifndef KSCHED_H
#define KSCHED_H

#include <linux/cpumask.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "ksched_uapi.h"

enum ksched_state {
	KSCHED_LOOSE,	/* Linux schedules it: it has no core, and its own affinity */
	KSCHED_PARKED,	/* sleeps in PARK */
	KSCHED_HOLDING, /* has `core`, and is bound to it */
	KSCHED_ENDED,	/* exited, or became another program */
};

struct ksched_core;

struct ksched_thread {
	refcount_t refs; /* of: the hash of enrolled threads, the file, the table of handles, a core, queued work */
	struct task_struct *task;
	int cede_signal;
	int yield_signal;
	struct hlist_node node;
	struct work_struct settle;
	struct mutex settling; /* who changes the affinity, and sleeps */
	struct rcu_head rcu;

	raw_spinlock_t lock;
	enum ksched_state state;
	struct ksched_core *core; /* HOLDING: which */
	struct ksched_core *next; /* granted while it had not yet parked: PARK returns with this one at once */
	u32 handle;		  /* 0: not adopted */
	cpumask_t home;		  /* its own affinity, while it is bound */
	bool bound;		  /* to `bound_cpu`, unless somebody else changed its affinity since */
	int bound_cpu;		  /* the last one; -1: none yet */
	bool unparked;		  /* why PARK returns, or shall return at once, without a core: UNPARK */
	bool released;		  /* and: no IOKernel has a use for it */
};

struct ksched_core {
	raw_spinlock_t lock;
	unsigned int cpu;
	u32 gen;		      /* of the last grant that was carried out or refused */
	u64 issued;		      /* ksched_request.issued of that grant */
	u32 yield;		      /* ksched_request.yield when we last looked */
	struct ksched_thread *holder; /* HOLDING it, or it is that thread's `next` */
	bool waited;		      /* a grant found the core held */
	unsigned long grace_ends;     /* waited: jiffies */
	call_single_data_t kick;
	atomic_t kicked;	     /* the kick's interrupt is on its way */
	struct delayed_work overdue; /* the holder's grace has ended */
#ifdef KSCHED_DEBUG
	struct ksched_thread *inside; /* returned from PARK with this core */
#endif
} ____cacheline_aligned_in_smp;

/* core.c */
extern struct ksched_core *ksched_cores; /* nr_cpu_ids */
extern struct ksched_request *ksched_requests;
extern struct ksched_status *ksched_statuses;
extern struct ksched_stats *ksched_stats;
extern struct workqueue_struct *ksched_workqueue;

int ksched_cores_init(void);
void ksched_cores_exit(void);
void ksched_cores_start(void);
void ksched_cores_stop(void);
size_t ksched_map_bytes(size_t entry);
void ksched_serve(struct ksched_core *core);
void ksched_kick(unsigned int cpu);
bool ksched_take_core(struct ksched_core *core, struct ksched_thread *t);
void ksched_returned(struct ksched_thread *t);

/* bind.c */
int ksched_bind_init(void);
void ksched_bind_exit(void);
void ksched_settle(struct ksched_thread *t);
void ksched_on_settle(struct work_struct *work);
void ksched_settle_later(struct ksched_thread *t);
void ksched_bind_parked(struct ksched_thread *t, unsigned int cpu);
void ksched_unbind_child(struct ksched_thread *t, struct task_struct *child);

/* watch.c */
void ksched_watch(struct ksched_thread *t, struct ksched_core *core);

/* thread.c */
extern spinlock_t ksched_threads_lock;
extern bool ksched_claimed;

int ksched_threads_init(void);
void ksched_threads_exit(void);
int ksched_enrol(const struct ksched_enrol *enrol, struct ksched_thread **result);
int ksched_park(struct ksched_thread *t);
int ksched_unpark(struct ksched_thread *t);
void ksched_wake_released(struct ksched_thread *t);
void ksched_end(struct ksched_thread *t);
void ksched_release(struct ksched_thread *t);
void ksched_release_all(void);
void ksched_take_cores(struct ksched_thread *t);
void ksched_thread_put(struct ksched_thread *t);
struct ksched_thread *ksched_find_task(const struct task_struct *task);

/* claim.c */
int ksched_claim(void);
void ksched_disclaim(void);
int ksched_adopt(struct ksched_adopt *adopt);
int ksched_release_handle(u32 handle);
int ksched_evict(u32 handle);
struct ksched_thread *ksched_lookup(u32 handle);
void ksched_forget_handle(struct ksched_thread *t);

#endif /* KSCHED_H */
