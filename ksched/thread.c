// SPDX-License-Identifier: GPL-2.0
/*
 * thread.c - an enrolled thread: enrol, park, and what else happens in its life.
 *
 *            PARK                    grant                     PARK
 *   LOOSE ----------> PARKED --------------------> HOLDING ----------> (gives the core back) PARKED ...
 *     ^                 |                             |
 *     +-- signal, release, the IOKernel's end --------+-- evict, release, the IOKernel's end
 *
 * A thread's affinity follows its state: see bind.c.
 */
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "compat.h"
#include "ksched.h"

DEFINE_SPINLOCK(ksched_threads_lock);
bool ksched_claimed;

/* Enrolled threads by task. Changed under ksched_threads_lock, read under RCU. */
static DEFINE_HASHTABLE(threads, 10);

void ksched_thread_put(struct ksched_thread *t)
{
	if (!refcount_dec_and_test(&t->refs))
		return;
	put_task_struct(t->task);
	kfree_rcu(t, rcu);
}

/* The enrolment of a task, or null. Under RCU, or ksched_threads_lock. */
struct ksched_thread *ksched_find_task(const struct task_struct *task)
{
	struct ksched_thread *t;

	hash_for_each_possible_rcu(threads, t, node, (unsigned long)task,
				   lockdep_is_held(&ksched_threads_lock)) {
		if (t->task == task)
			return t;
	}
	return NULL;
}

/* Why PARK returns without a core; 0: it need not. What is told has been told. Called with the thread's lock held. */
static int take_verdict(struct ksched_thread *t)
{
	if (t->unparked) {
		t->unparked = false;
		return -ECANCELED;
	}
	if (t->released) {
		t->released = false;
		return -ENODEV;
	}
	return 0;
}

/*
 * Sleeps until the thread holds a core. 0, or why it does not.
 */
static int wait_for_core(struct ksched_thread *t)
{
	int error = 0;

	raw_spin_lock_irq(&t->lock);
	if (t->state == KSCHED_ENDED) {
		error = -ESRCH;
	} else if (t->next) {
		t->core = t->next;
		t->next = NULL;
		t->state = KSCHED_HOLDING;
	} else if (!READ_ONCE(ksched_claimed)) {
		/* Whoever clears it looks for parked threads afterwards, under their locks. */
		error = -ENODEV;
	} else {
		error = take_verdict(t);
		if (!error)
			t->state = KSCHED_PARKED;
	}
	raw_spin_unlock_irq(&t->lock);
	if (error)
		return error;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (READ_ONCE(t->state) != KSCHED_PARKED || signal_pending(current))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);

	raw_spin_lock_irq(&t->lock);
	if (t->state == KSCHED_PARKED) {
		t->state = KSCHED_LOOSE;
		error = -EINTR;
	} else if (t->state != KSCHED_HOLDING) {
		error = take_verdict(t);
	}
	raw_spin_unlock_irq(&t->lock);
	return error;
}

int ksched_park(struct ksched_thread *t)
{
	struct ksched_core *core;
	int error;

	if (t->task != current)
		return -EPERM;
	core = READ_ONCE(t->core);
	if (core && ksched_take_core(core, t))
		ksched_watch(t, core);
	error = wait_for_core(t);
	core = READ_ONCE(t->core);
	if (!core || raw_smp_processor_id() != core->cpu || !cpumask_equal(current->cpus_ptr, cpumask_of(core->cpu)))
		ksched_settle(t);
	if (!error)
		ksched_returned(t);
	return error;
}

/* PARK returns with a verdict, a flag of the thread's: now if the thread sleeps in it, else the next time. */
static void wake_with(struct ksched_thread *t, bool *verdict)
{
	raw_spin_lock_irq(&t->lock);
	WRITE_ONCE(*verdict, true);
	if (t->state == KSCHED_PARKED) {
		t->state = KSCHED_LOOSE;
		wake_up_process(t->task);
	}
	raw_spin_unlock_irq(&t->lock);
}

void ksched_wake_released(struct ksched_thread *t)
{
	wake_with(t, &t->released);
}

int ksched_unpark(struct ksched_thread *t)
{
	if (!same_thread_group(t->task, current))
		return -EPERM;
	wake_with(t, &t->unparked);
	return 0;
}

int ksched_enrol(const struct ksched_enrol *enrol, struct ksched_thread **result)
{
	struct ksched_thread *t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);

	if (!t)
		return -ENOMEM;
	refcount_set(&t->refs, 2); /* the hash and the file */
	t->task = get_task_struct(current);
	t->cede_signal = enrol->cede_signal;
	t->yield_signal = enrol->yield_signal;
	t->bound_cpu = -1;
	mutex_init(&t->settling);
	INIT_WORK(&t->settle, ksched_on_settle);
	raw_spin_lock_init(&t->lock);

	spin_lock(&ksched_threads_lock);
	if (ksched_find_task(current)) {
		spin_unlock(&ksched_threads_lock);
		put_task_struct(current);
		kfree(t);
		return -EEXIST;
	}
	hash_add_rcu(threads, &t->node, (unsigned long)current);
	spin_unlock(&ksched_threads_lock);
	*result = t;
	return 0;
}

/* Takes from the thread the core it has and the one it was given next. Does not sleep. */
void ksched_take_cores(struct ksched_thread *t)
{
	struct ksched_core *core, *next;
	bool lost = false;

	raw_spin_lock_irq(&t->lock);
	core = t->core;
	next = t->next;
	raw_spin_unlock_irq(&t->lock);
	if (core)
		lost |= ksched_take_core(core, t);
	if (next)
		lost |= ksched_take_core(next, t);
	if (lost)
		ksched_settle_later(t);
}

/* Takes from the thread what it was given, and the right to be given more. Does not sleep. */
static void strip(struct ksched_thread *t)
{
	/* No grant finds it after this; one that came before shows in `core` and `next`. */
	ksched_forget_handle(t);
	ksched_take_cores(t);
}

/* The IOKernel has no more use for it. Does not sleep. Called with ksched_threads_lock held. */
void ksched_release(struct ksched_thread *t)
{
	strip(t);
	ksched_wake_released(t);
}

/*
 * There is no IOKernel any more, and no other one yet: who enrols meanwhile is not told, and need not be. A bucket at a
 * time, for anybody may enrol, and others' calls wait for the lock.
 */
void ksched_release_all(void)
{
	struct ksched_thread *t;
	int bucket;

	for (bucket = 0; bucket < HASH_SIZE(threads); bucket++) {
		spin_lock(&ksched_threads_lock);
		hlist_for_each_entry(t, &threads[bucket], node)
			ksched_release(t);
		spin_unlock(&ksched_threads_lock);
		cond_resched();
	}
}

/* The enrolment is over: exit, exec, or the file was closed. The caller has a reference. Does not sleep. */
void ksched_end(struct ksched_thread *t)
{
	bool enrolled;

	spin_lock(&ksched_threads_lock);
	raw_spin_lock_irq(&t->lock);
	enrolled = t->state != KSCHED_ENDED;
	raw_spin_unlock_irq(&t->lock);
	if (enrolled) {
		ksched_release(t);
		raw_spin_lock_irq(&t->lock);
		t->state = KSCHED_ENDED;
		raw_spin_unlock_irq(&t->lock);
		hash_del_rcu(&t->node);
	}
	spin_unlock(&ksched_threads_lock);
	if (enrolled)
		ksched_thread_put(t);
}

static void end_current(void)
{
	struct ksched_thread *t;

	rcu_read_lock();
	t = ksched_find_task(current);
	if (t && !refcount_inc_not_zero(&t->refs))
		t = NULL;
	rcu_read_unlock();
	if (!t)
		return;
	ksched_end(t);
	ksched_thread_put(t);
}

static void on_exit(void)
{
	end_current();
}

/* The new program has not enrolled; what runs it is the same task, so it gets its own affinity back. */
static void on_exec(void)
{
	end_current();
}

static void on_fork(struct task_struct *child)
{
	struct ksched_thread *t;

	rcu_read_lock();
	t = ksched_find_task(current);
	if (t)
		ksched_unbind_child(t, child);
	rcu_read_unlock();
}

int ksched_threads_init(void)
{
	return ksched_hook_tasks(on_fork, on_exec, on_exit);
}

/* No file is open, so no thread is enrolled. */
void ksched_threads_exit(void)
{
	ksched_unhook_tasks();
}
