// SPDX-License-Identifier: GPL-2.0
/*
 * compat.c - see compat.h.
 */
#include <linux/binfmts.h>
#include <linux/cpumask.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "compat.h"

bool ksched_bind_asleep(struct task_struct *task, const struct cpumask *mask, unsigned int state)
{
	bool asleep = READ_ONCE(task->__state) == state && !READ_ONCE(task->on_rq) &&
		      !smp_load_acquire(&task->on_cpu) && /* pairs with the release in the scheduler's finish_task */
		      task->cpus_ptr == &task->cpus_mask && task->policy != SCHED_DEADLINE;

	if (asleep && !cpumask_equal(&task->cpus_mask, mask)) {
		cpumask_copy(&task->cpus_mask, mask);
		task->nr_cpus_allowed = cpumask_weight(mask);
	}
	return asleep;
}

static void (*fork_hook)(struct task_struct *child);
static void (*exec_hook)(void);
static void (*exit_hook)(void);

static void probe_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	fork_hook(child);
}

static void probe_exec(void *data, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	exec_hook();
}

/* From 6.16 on there is one more argument, which a callee may ignore. */
static void probe_exit(void *data, struct task_struct *task)
{
	exit_hook();
}

static struct {
	const char *name;
	void *probe;
	struct tracepoint *point;
	bool registered;
} hooks[] = {
	{ "sched_process_fork", probe_fork },
	{ "sched_process_exec", probe_exec },
	{ "sched_process_exit", probe_exit },
};

static void find_point(struct tracepoint *point, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!strcmp(point->name, hooks[i].name))
			hooks[i].point = point;
}

int ksched_hook_tasks(void (*fork)(struct task_struct *child), void (*exec)(void), void (*exit)(void))
{
	int i, error = 0;

	fork_hook = fork;
	exec_hook = exec;
	exit_hook = exit;
	for_each_kernel_tracepoint(find_point, NULL);
	for (i = 0; i < ARRAY_SIZE(hooks) && !error; i++) {
		error = hooks[i].point ? tracepoint_probe_register(hooks[i].point, hooks[i].probe, NULL) : -ENOENT;
		hooks[i].registered = !error;
	}
	if (error) {
		pr_err("ksched: this kernel has no tracepoint %s (%d)\n", hooks[i - 1].name, error);
		ksched_unhook_tasks();
	}
	return error;
}

void ksched_unhook_tasks(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (hooks[i].registered)
			tracepoint_probe_unregister(hooks[i].point, hooks[i].probe, NULL);
		hooks[i].registered = false;
	}
	tracepoint_synchronize_unregister();
}
