// SPDX-License-Identifier: GPL-2.0
/*
 * core.c - a core and its request line.
 *
 * Invariants
 *  1. core->holder is the one thread that may run on the core by a grant. It is HOLDING the core, or the core is its
 *     `next`. Both ends are written under both locks.
 *  2. A grant is carried out only while the core has no holder, so at most one granted thread is on a core.
 *  3. The request line belongs to the IOKernel: it is read once, and what was read is checked.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "ksched.h"

struct ksched_core *ksched_cores;
struct ksched_request *ksched_requests;
struct ksched_status *ksched_statuses;
struct ksched_stats *ksched_stats;
struct workqueue_struct *ksched_workqueue;

static unsigned int grace_us = 10000;
module_param(grace_us, uint, 0644);
MODULE_PARM_DESC(grace_us, "time that a holder has to park once another grant waits for its core");

static struct ksched_request *request_of(struct ksched_core *core)
{
	return &ksched_requests[core->cpu];
}

static struct ksched_status *status_of(struct ksched_core *core)
{
	return &ksched_statuses[core->cpu];
}

static struct ksched_stats *stats_of(struct ksched_core *core)
{
	return &ksched_stats[core->cpu];
}

/*
 * Wakes a parked thread on its core. Called with the thread's lock held, so nobody else does.
 *
 * A thread that is fast asleep is bound first, so that the wake-up puts it on that CPU and nowhere else. One on its
 * way into or out of PARK binds itself before it returns.
 */
static void wake_on(struct ksched_thread *t, unsigned int cpu)
{
	if (cpu_active(cpu))
		ksched_bind_parked(t, cpu);
	wake_up_process(t->task);
}

/* Gives the free core to a thread. Called with the core's lock held. */
static int grant(struct ksched_core *core, u32 handle)
{
	struct ksched_thread *t;
	int error = 0;

	rcu_read_lock();
	t = ksched_lookup(handle);
	if (!t || !refcount_inc_not_zero(&t->refs)) {
		rcu_read_unlock();
		return -ESRCH;
	}
	rcu_read_unlock();

	raw_spin_lock(&t->lock);
	if (t->handle != handle) {
		error = -ESRCH;
	} else if (t->next) {
		error = -EBUSY;
	} else if (t->state == KSCHED_PARKED) {
		t->state = KSCHED_HOLDING;
		t->core = core;
		core->holder = t;
		wake_on(t, core->cpu);
	} else {
		t->next = core;
		core->holder = t;
	}
	raw_spin_unlock(&t->lock);
	if (error)
		ksched_thread_put(t);
	return error;
}

/* Carries out the core's request line as far as can be. Called with the core's lock held. */
static void serve(struct ksched_core *core)
{
	struct ksched_request *request = request_of(core);
	struct ksched_status *status = status_of(core);
	struct ksched_stats *stats = stats_of(core);
	u64 word;
	u32 gen, yield;
	int error;

	/* Pairs with the release of whoever wrote the line: the time of issue is visible. */
	word = smp_load_acquire(&request->grant);
	gen = (u32)word;
	if (gen != core->gen && core->holder) {
		if (!core->waited) {
			unsigned long grace = usecs_to_jiffies(grace_us);

			core->grace_ends = jiffies + grace;
			mod_delayed_work(ksched_workqueue, &core->overdue, grace);
		}
		core->waited = true;
	} else if (gen != core->gen) {
		core->gen = gen;
		core->issued = READ_ONCE(request->issued);
		error = grant(core, word >> 32);
		if (error) {
			stats->refused++;
		} else {
			stats->grants++;
			stats->handovers += core->waited;
		}
		core->waited = false;
		WRITE_ONCE(status->outcome, error);
		WRITE_ONCE(status->holder, error ? 0 : word >> 32);
		smp_store_release(&status->served, gen); /* who sees it sees the two above */
	}

	if (!core->holder)
		return;
	if (READ_ONCE(request->cede) == core->gen && core->holder->cede_signal) {
		stats->cedes++;
		send_sig(core->holder->cede_signal, core->holder->task, 0);
	}
	yield = READ_ONCE(request->yield);
	if (yield != core->yield) {
		core->yield = yield;
		if (core->holder->yield_signal) {
			stats->yields++;
			send_sig(core->holder->yield_signal, core->holder->task, 0);
		}
	}
}

void ksched_serve(struct ksched_core *core)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&core->lock, flags);
	if (READ_ONCE(ksched_claimed))
		serve(core);
	raw_spin_unlock_irqrestore(&core->lock, flags);
}

/*
 * Takes the core from the thread, if it has it or is about to, and serves whoever waits. True if it was so.
 * The caller holds a reference to the thread beside the core's, so the last one is not dropped under a lock.
 */
bool ksched_take_core(struct ksched_core *core, struct ksched_thread *t)
{
	unsigned long flags;
	bool taken;

	raw_spin_lock_irqsave(&core->lock, flags);
	taken = core->holder == t;
	if (taken) {
		raw_spin_lock(&t->lock);
		if (t->core == core) {
			t->core = NULL;
			if (t->state == KSCHED_HOLDING)
				t->state = KSCHED_LOOSE;
		}
		if (t->next == core)
			t->next = NULL;
		raw_spin_unlock(&t->lock);
		core->holder = NULL;
#ifdef KSCHED_DEBUG
		core->inside = NULL;
#endif
		WRITE_ONCE(status_of(core)->holder, 0);
		if (READ_ONCE(ksched_claimed))
			serve(core);
		refcount_dec(&t->refs);
	}
	raw_spin_unlock_irqrestore(&core->lock, flags);
	return taken;
}

/* The current thread is about to return from PARK with its core. */
void ksched_returned(struct ksched_thread *t)
{
	struct ksched_core *core = READ_ONCE(t->core);
	unsigned long flags;
	u64 cycles;

	if (!core)
		return;
	cycles = get_cycles();
	raw_spin_lock_irqsave(&core->lock, flags);
	if (core->holder == t && t->core == core) {
		struct ksched_stats *stats = stats_of(core);
		int bucket = cycles > core->issued ? ilog2(cycles - core->issued) : 0;

		stats->latency[min(bucket, KSCHED_LATENCY_BUCKETS - 1)]++;
		/* No error in itself: the CPU may have been offline when the thread was bound, and be back. */
		if (raw_smp_processor_id() != core->cpu)
			stats->astray++;
#ifdef KSCHED_DEBUG
		WARN_ONCE(core->inside, "ksched: two kthreads on CPU %u\n", core->cpu);
		core->inside = t;
#endif
	}
	raw_spin_unlock_irqrestore(&core->lock, flags);
}

/* A grant has waited for the core, and the holder's grace has ended: it is put off. */
static void on_overdue(struct work_struct *work)
{
	struct ksched_core *core = container_of(to_delayed_work(work), struct ksched_core, overdue);
	struct ksched_thread *t = NULL;

	raw_spin_lock_irq(&core->lock);
	/* Late, it may find the next holder here, whose grace has just begun and will end with a call of its own. */
	if (core->waited && core->holder && time_after_eq(jiffies, core->grace_ends)) {
		t = core->holder;
		refcount_inc(&t->refs);
		stats_of(core)->evictions++;
	}
	raw_spin_unlock_irq(&core->lock);
	if (!t)
		return;
	if (ksched_take_core(core, t))
		ksched_settle_later(t);
	ksched_thread_put(t);
}

static void on_kick(void *info)
{
	struct ksched_core *core = info;
	unsigned long flags;

	/* Before the line is looked at: a kick that comes later interrupts again. */
	atomic_xchg(&core->kicked, 0);
	raw_spin_lock_irqsave(&core->lock, flags);
	stats_of(core)->kicks++;
	raw_spin_unlock_irqrestore(&core->lock, flags);
	ksched_serve(core);
}

/* A CPU that is offline takes no interrupts, and its grants are carried out here: the threads run elsewhere. */
void ksched_kick(unsigned int cpu)
{
	struct ksched_core *core = &ksched_cores[cpu];
	int error = 0;

	/* No CPU goes offline while preemption is off on another one. */
	preempt_disable();
	if (!cpu_online(cpu)) {
		error = -ENXIO;
	} else if (!atomic_xchg(&core->kicked, 1)) { /* a kick that is still on its way is enough */
		error = smp_call_function_single_async(cpu, &core->kick);
		if (error)
			atomic_set(&core->kicked, 0);
	}
	preempt_enable();
	if (error)
		ksched_serve(core);
}

/* The device was claimed: everything begins anew. */
void ksched_cores_start(void)
{
	unsigned int cpu;

	memset(ksched_requests, 0, ksched_map_bytes(sizeof(*ksched_requests)));
	memset(ksched_statuses, 0, ksched_map_bytes(sizeof(*ksched_statuses)));
	memset(ksched_stats, 0, ksched_map_bytes(sizeof(*ksched_stats)));
	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		ksched_cores[cpu].gen = 0;
		ksched_cores[cpu].yield = 0;
		ksched_cores[cpu].waited = false;
	}
}

/* Nobody claims the device, and no core has a holder: waits for what was under way. */
void ksched_cores_stop(void)
{
	unsigned int cpu;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		while (atomic_read(&ksched_cores[cpu].kicked))
			usleep_range(50, 200);
		cancel_delayed_work_sync(&ksched_cores[cpu].overdue);
	}
	synchronize_rcu(); /* interrupts that have said that they arrived are over */
}

size_t ksched_map_bytes(size_t entry)
{
	return PAGE_ALIGN(entry * nr_cpu_ids);
}

int ksched_cores_init(void)
{
	unsigned int cpu;

	if (nr_cpu_ids > KSCHED_MAX_CPUS)
		return -E2BIG;
	ksched_cores = kcalloc(nr_cpu_ids, sizeof(*ksched_cores), GFP_KERNEL);
	ksched_requests = vmalloc_user(ksched_map_bytes(sizeof(*ksched_requests)));
	ksched_statuses = vmalloc_user(ksched_map_bytes(sizeof(*ksched_statuses)));
	ksched_stats = vmalloc_user(ksched_map_bytes(sizeof(*ksched_stats)));
	ksched_workqueue = alloc_workqueue("ksched", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!ksched_cores || !ksched_requests || !ksched_statuses || !ksched_stats || !ksched_workqueue) {
		ksched_cores_exit();
		return -ENOMEM;
	}
	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		struct ksched_core *core = &ksched_cores[cpu];

		raw_spin_lock_init(&core->lock);
		core->cpu = cpu;
		INIT_CSD(&core->kick, on_kick, core);
		INIT_DELAYED_WORK(&core->overdue, on_overdue);
	}
	return 0;
}

void ksched_cores_exit(void)
{
	if (ksched_workqueue)
		destroy_workqueue(ksched_workqueue);
	vfree(ksched_stats);
	vfree(ksched_statuses);
	vfree(ksched_requests);
	kfree(ksched_cores);
}
