// SPDX-License-Identifier: GPL-2.0
/*
 * watch.c - a core that was given back watches its request line for a while, so that a grant is one store.
 *
 * The thread that parks does it, on its way to sleep: it is on the right CPU, and if the next grant is its own, it has
 * not gone anywhere. It gives way at once to whatever else the CPU has to do, and in the end to the idle loop, which
 * has the power state that the governor chose and is woken by a kick.
 */
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/preempt.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>

#include "ksched.h"

static unsigned int watch_us = 50;
module_param(watch_us, uint, 0644);
MODULE_PARM_DESC(watch_us, "time that a core watches its request line before its CPU goes idle; 0: it never does");

#define WATCH_MAX_US 1000000u /* preemption is off meanwhile */

static bool asked_for(const struct ksched_core *core)
{
	return (u32)READ_ONCE(ksched_requests[core->cpu].grant) != READ_ONCE(core->gen);
}

/* The thread has something better to do than to watch, or its CPU has. */
static bool wanted(const struct ksched_thread *t)
{
	return need_resched() || !single_task_running() || signal_pending(current) || READ_ONCE(t->next) ||
	       READ_ONCE(t->unparked) || READ_ONCE(t->released) || !READ_ONCE(ksched_claimed);
}

/* Called by the thread that has just given the core back. */
void ksched_watch(struct ksched_thread *t, struct ksched_core *core)
{
	u32 *watching = &ksched_statuses[core->cpu].watching;
	unsigned int us = min(READ_ONCE(watch_us), WATCH_MAX_US);
	u64 until;

	if (!us)
		return;
	/* So nobody takes the CPU while the flag is up: need_resched ends the loop. */
	preempt_disable();
	until = local_clock() + us * (u64)NSEC_PER_USEC;
	WRITE_ONCE(*watching, 1);
	while (!asked_for(core) && !READ_ONCE(core->holder) && !wanted(t) && local_clock() < until)
		cpu_relax();
	WRITE_ONCE(*watching, 0);
	/* The flag first, then the line; whoever writes the line goes the other way round. One of the two sees it. */
	smp_mb();
	if (asked_for(core))
		ksched_serve(core);
	preempt_enable();
}
