// SPDX-License-Identifier: GPL-2.0
/*
 * claim.c - the IOKernel's end of the device. One file at a time claims it; the others have threads.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/uidgid.h>

#include "ksched.h"

static int group = -1;
module_param(group, int, 0444);
MODULE_PARM_DESC(group, "group whose members may be the IOKernel without CAP_SYS_ADMIN; -1: none");

#define INDEX_BITS 12
#define INDEX_MASK ((1u << INDEX_BITS) - 1)
static_assert(KSCHED_MAX_THREADS == 1 << INDEX_BITS);

/* A handle is a position here and, above INDEX_BITS, a serial number that makes it stale once the thread has left. */
static struct ksched_thread __rcu *table[KSCHED_MAX_THREADS];
static u32 cursor;
static u32 serial;

static bool taken; /* some file claims the device, or the last one that did has not cleaned up */

/* The adopted thread of that name, or null. Under RCU; its handle is to be compared again under its lock. */
struct ksched_thread *ksched_lookup(u32 handle)
{
	struct ksched_thread *t = rcu_dereference(table[handle & INDEX_MASK]);

	return t && READ_ONCE(t->handle) == handle ? t : NULL;
}

/* Called with ksched_threads_lock held. */
void ksched_forget_handle(struct ksched_thread *t)
{
	u32 handle = t->handle;

	if (!handle)
		return;
	RCU_INIT_POINTER(table[handle & INDEX_MASK], NULL);
	raw_spin_lock_irq(&t->lock);
	t->handle = 0;
	raw_spin_unlock_irq(&t->lock);
	ksched_thread_put(t);
}

/* Called with ksched_threads_lock held. */
static int name_thread(struct ksched_thread *t)
{
	u32 i;

	for (i = 0; i < KSCHED_MAX_THREADS; i++) {
		u32 index = (cursor + i) & INDEX_MASK;

		if (rcu_access_pointer(table[index]))
			continue;
		cursor = index + 1;
		serial++;
		if (!(serial << INDEX_BITS))
			serial = 1;
		refcount_inc(&t->refs);
		raw_spin_lock_irq(&t->lock);
		t->released = false; /* by an IOKernel before */
		WRITE_ONCE(t->handle, serial << INDEX_BITS | index);
		raw_spin_unlock_irq(&t->lock);
		rcu_assign_pointer(table[index], t);
		return 0;
	}
	ksched_wake_released(t); /* nobody will grant it anything */
	return -ENOSPC;
}

int ksched_adopt(struct ksched_adopt *adopt)
{
	struct task_struct *task;
	struct ksched_thread *t;
	int error = -ESRCH;

	spin_lock(&ksched_threads_lock);
	rcu_read_lock();
	task = pid_task(find_vpid(adopt->tid), PIDTYPE_PID);
	/* The process is named, too: its thread's number may have gone to somebody else's. */
	t = task && task_tgid_vnr(task) == adopt->tgid ? ksched_find_task(task) : NULL;
	if (t && t->handle)
		error = -EBUSY;
	else if (t)
		error = name_thread(t);
	if (!error)
		adopt->handle = t->handle;
	rcu_read_unlock();
	spin_unlock(&ksched_threads_lock);
	return error;
}

int ksched_release_handle(u32 handle)
{
	struct ksched_thread *t;

	spin_lock(&ksched_threads_lock);
	rcu_read_lock();
	t = ksched_lookup(handle);
	if (t)
		ksched_release(t);
	rcu_read_unlock();
	spin_unlock(&ksched_threads_lock);
	return t ? 0 : -ESRCH;
}

int ksched_evict(u32 handle)
{
	struct ksched_thread *t;

	rcu_read_lock();
	t = ksched_lookup(handle);
	if (t && !refcount_inc_not_zero(&t->refs))
		t = NULL;
	rcu_read_unlock();
	if (!t)
		return -ESRCH;
	ksched_take_cores(t);
	ksched_thread_put(t);
	return 0;
}

int ksched_claim(void)
{
	int error = 0;

	if (!capable(CAP_SYS_ADMIN) && !(group >= 0 && in_group_p(make_kgid(&init_user_ns, group))))
		return -EPERM;
	spin_lock(&ksched_threads_lock);
	if (taken) {
		error = -EBUSY;
	} else {
		taken = true;
		ksched_cores_start();
		WRITE_ONCE(ksched_claimed, true);
	}
	spin_unlock(&ksched_threads_lock);
	return error;
}

/* The file that claimed the device is gone, and its mappings with it. Every thread is Linux's again. */
void ksched_disclaim(void)
{
	spin_lock(&ksched_threads_lock);
	WRITE_ONCE(ksched_claimed, false);
	spin_unlock(&ksched_threads_lock);
	ksched_release_all();
	ksched_cores_stop();
	spin_lock(&ksched_threads_lock);
	taken = false;
	spin_unlock(&ksched_threads_lock);
}
