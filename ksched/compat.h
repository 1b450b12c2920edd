/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h - what differs between kernel versions, from 6.1 on; and what the kernel has no call for.
 */
#ifndef KSCHED_COMPAT_H
#define KSCHED_COMPAT_H

#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "ksched needs Linux 6.1"
#endif
#ifdef CONFIG_PREEMPT_RT
#error "ksched sends signals from interrupts, which PREEMPT_RT does not allow"
#endif

static inline void ksched_vm_flags(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#else
	vm_flags_mod(vma, set, clear);
#endif
}

/*
 * Sets the affinity of a task that is off its CPU in `state`. False if it is not, and then nothing is done. Called with
 * the task's pi_lock held. Atomic contexts, too: set_cpus_allowed_ptr may sleep (it waits for a completion even where
 * nothing has to be moved).
 *
 * As kthread_bind does it: while a task is neither queued nor running, whoever looks at its mask holds its pi_lock,
 * the wake-up first of all. Deadline tasks keep more books than the mask: they are left alone.
 */
bool ksched_bind_asleep(struct task_struct *task, const struct cpumask *mask, unsigned int state);

/*
 * Fork, exec and exit of any task. Each is called by the task itself, with preemption off, and must not sleep; the
 * child of a fork has not run yet. By tracepoints: task_work is not for modules everywhere.
 */
int ksched_hook_tasks(void (*fork)(struct task_struct *child), void (*exec)(void), void (*exit)(void));
void ksched_unhook_tasks(void);

#endif /* KSCHED_COMPAT_H */
