// SPDX-License-Identifier: GPL-2.0
/*
 * bind.c - a thread's affinity: its core's CPU while it is HOLDING, else its own.
 *
 * Its own is what it would have without us, whoever changed that, and when: the thread, an administrator, its cpuset, a
 * CPU that went off. Linux has one mask for both. So a mask that is the CPU that we bound the thread to is ours; any
 * other is the thread's own: it is never replaced but by a binding, and kept in `home` then.
 *
 * The mask is written by settle, which sleeps, and by the wake-up of a grant, which does not. One settle at a time for
 * a thread (`settling`), and the wake-up leaves the mask to it where it is at work.
 */
#include <linux/cpuhotplug.h>

#include "compat.h"
#include "ksched.h"

/* Called with the task's pi_lock held. */
static bool is_ours(const struct ksched_thread *t)
{
	return t->bound && cpumask_equal(&t->task->cpus_mask, cpumask_of(t->bound_cpu));
}

/* True if the mask is ours. If not, it is kept. Called with the task's pi_lock and the thread's lock held. */
static bool note_home(struct ksched_thread *t)
{
	if (is_ours(t))
		return true;
	cpumask_copy(&t->home, &t->task->cpus_mask);
	return false;
}

static void note_bound(struct ksched_thread *t, unsigned int cpu)
{
	t->bound = true;
	t->bound_cpu = cpu;
}

/*
 * Makes the affinity what the state says, however often that changes meanwhile. Sleeps. A core whose CPU is offline
 * binds to nothing: its holder runs where it may.
 */
void ksched_settle(struct ksched_thread *t)
{
	struct ksched_core *core;
	bool again, ours, bound;

	mutex_lock(&t->settling);
	do {
		raw_spin_lock_irq(&t->lock);
		raw_spin_lock(&t->task->pi_lock);
		core = t->core;
		ours = note_home(t);
		/* Before it is true, for a fork between the two. */
		if (core)
			note_bound(t, core->cpu);
		raw_spin_unlock(&t->task->pi_lock);
		raw_spin_unlock_irq(&t->lock);

		bound = core && !set_cpus_allowed_ptr(t->task, cpumask_of(core->cpu));
		if (!bound && ours)
			set_cpus_allowed_ptr(t->task, &t->home);

		raw_spin_lock_irq(&t->lock);
		t->bound = bound;
		again = t->core != core;
		raw_spin_unlock_irq(&t->lock);
	} while (again);
	mutex_unlock(&t->settling);
}

void ksched_on_settle(struct work_struct *work)
{
	struct ksched_thread *t = container_of(work, struct ksched_thread, settle);

	ksched_settle(t);
	ksched_thread_put(t);
}

/* For where sleeping is not allowed. The caller has a reference, or a lock that keeps one. */
void ksched_settle_later(struct ksched_thread *t)
{
	refcount_inc(&t->refs);
	if (!queue_work(ksched_workqueue, &t->settle))
		refcount_dec(&t->refs);
}

/*
 * Binds a thread that is fast asleep in PARK. Called with its lock held. One that is not, or that is being settled, is
 * left alone: it looks at its mask before it returns.
 */
void ksched_bind_parked(struct ksched_thread *t, unsigned int cpu)
{
	if (mutex_is_locked(&t->settling))
		return;
	raw_spin_lock(&t->task->pi_lock);
	note_home(t);
	if (ksched_bind_asleep(t->task, cpumask_of(cpu), TASK_INTERRUPTIBLE))
		note_bound(t, cpu);
	raw_spin_unlock(&t->task->pi_lock);
}

/*
 * A child that the current thread has made, and that has not run yet, would inherit the binding to a core that it was
 * not granted. The binding may have ended since the child's mask was copied.
 */
void ksched_unbind_child(struct ksched_thread *t, struct task_struct *child)
{
	const struct cpumask *own;
	unsigned long flags;

	raw_spin_lock_irqsave(&t->lock, flags);
	if (t->bound_cpu >= 0 && cpumask_equal(&child->cpus_mask, cpumask_of(t->bound_cpu))) {
		raw_spin_lock(&current->pi_lock);
		own = is_ours(t) ? &t->home : &current->cpus_mask;
		raw_spin_unlock(&current->pi_lock);
		raw_spin_lock(&child->pi_lock);
		ksched_bind_asleep(child, own, TASK_NEW);
		raw_spin_unlock(&child->pi_lock);
	}
	raw_spin_unlock_irqrestore(&t->lock, flags);
}

/*
 * When any CPU goes off or comes back, Linux gives all tasks in cpusets the masks of those again, holders of other
 * cores among them. It does so by work of its own, and nobody says when that is done: holders are looked at soon, then
 * less and less often, for 25 s.
 */
#define LOOKS 8
static atomic_t looks;
static int hotplug_state;

static void on_look(struct work_struct *work);
static DECLARE_DELAYED_WORK(look, on_look);

static void on_look(struct work_struct *work)
{
	unsigned int cpu;
	int looked;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		struct ksched_core *core = &ksched_cores[cpu];

		raw_spin_lock_irq(&core->lock);
		if (core->holder)
			ksched_settle_later(core->holder);
		raw_spin_unlock_irq(&core->lock);
	}
	looked = atomic_inc_return(&looks);
	if (looked < LOOKS)
		queue_delayed_work(ksched_workqueue, &look, (HZ / 10) << looked);
}

static int on_hotplug(unsigned int cpu)
{
	atomic_set(&looks, 0);
	mod_delayed_work(ksched_workqueue, &look, HZ / 10);
	return 0;
}

int ksched_bind_init(void)
{
	hotplug_state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "ksched:bind", on_hotplug, on_hotplug);
	return hotplug_state < 0 ? hotplug_state : 0;
}

void ksched_bind_exit(void)
{
	cpuhp_remove_state_nocalls(hotplug_state);
	cancel_delayed_work_sync(&look);
}
