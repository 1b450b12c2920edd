// SPDX-License-Identifier: GPL-2.0
/*
 * main.c - the device /dev/ksched.
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "ksched.h"

/* An open file: the IOKernel's, a thread's, or neither yet. */
struct ksched_file {
	struct mutex lock; /* one becomes what it will be once; not taken by what only uses it */
	bool claims;
	struct ksched_thread *thread;
};

static bool is_iokernel(const struct ksched_file *f)
{
	return smp_load_acquire(&f->claims); /* pairs with the release in claim */
}

static struct ksched_thread *thread_of(const struct ksched_file *f)
{
	return smp_load_acquire(&f->thread); /* pairs with the release in enrol */
}

static int ksched_open(struct inode *inode, struct file *file)
{
	struct ksched_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return -ENOMEM;
	mutex_init(&f->lock);
	file->private_data = f;
	return 0;
}

/* No call is under way on this file, and none of its mappings is left. */
static int ksched_file_release(struct inode *inode, struct file *file)
{
	struct ksched_file *f = file->private_data;

	if (f->claims)
		ksched_disclaim();
	if (f->thread) {
		ksched_end(f->thread);
		ksched_thread_put(f->thread);
	}
	kfree(f);
	return 0;
}

/*
 * Nobody kills himself through us, and nobody is stopped. What stops a process, or makes it go on, walks all its
 * threads when it is sent, and that would be in the interrupt of a kick.
 */
static bool signal_is_fit(int signal)
{
	return signal >= 0 && signal <= SIGRTMAX && signal != SIGKILL && !sig_kernel_stop(signal) && signal != SIGCONT;
}

static long enrol(struct ksched_file *f, void __user *user)
{
	struct ksched_enrol arg;
	struct ksched_thread *t;
	long error;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.version != KSCHED_ABI_VERSION)
		return -EPROTO;
	if (!signal_is_fit(arg.cede_signal) || !signal_is_fit(arg.yield_signal) || arg.reserved)
		return -EINVAL;
	mutex_lock(&f->lock);
	if (f->claims || f->thread) {
		error = -EINVAL;
	} else {
		error = ksched_enrol(&arg, &t);
		if (!error)
			smp_store_release(&f->thread, t); /* pairs with thread_of */
	}
	mutex_unlock(&f->lock);
	return error;
}

static long claim(struct ksched_file *f, void __user *user)
{
	struct ksched_claim arg;
	long error;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.version != KSCHED_ABI_VERSION)
		return -EPROTO;
	arg.cpus = nr_cpu_ids;
	if (copy_to_user(user, &arg, sizeof(arg)))
		return -EFAULT;
	mutex_lock(&f->lock);
	error = f->claims || f->thread ? -EINVAL : ksched_claim();
	if (!error)
		smp_store_release(&f->claims, true); /* pairs with is_iokernel */
	mutex_unlock(&f->lock);
	return error;
}

static long adopt(void __user *user)
{
	struct ksched_adopt arg;
	long error;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.reserved)
		return -EINVAL;
	error = ksched_adopt(&arg);
	if (!error && copy_to_user(user, &arg, sizeof(arg))) {
		ksched_release_handle(arg.handle);
		error = -EFAULT;
	}
	return error;
}

static long kick_one(unsigned long cpu)
{
	if (cpu >= nr_cpu_ids || !cpu_possible(cpu))
		return -EINVAL;
	ksched_kick(cpu);
	return 0;
}

static long kick_mask(void __user *user)
{
	struct ksched_mask mask;
	unsigned int word;

	if (copy_from_user(&mask, user, sizeof(mask)))
		return -EFAULT;
	for (word = 0; word < ARRAY_SIZE(mask.bits); word++) {
		u64 bits = mask.bits[word];

		while (bits) {
			kick_one(word * 64 + __ffs64(bits));
			bits &= bits - 1;
		}
	}
	return 0;
}

static long ksched_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ksched_file *f = file->private_data;
	void __user *user = (void __user *)arg;
	struct ksched_thread *t = thread_of(f);

	switch (cmd) {
	case KSCHED_IOC_PARK:
		return t ? ksched_park(t) : -ESRCH;
	case KSCHED_IOC_UNPARK:
		return t ? ksched_unpark(t) : -ESRCH;
	case KSCHED_IOC_ENROL:
		return enrol(f, user);
	case KSCHED_IOC_CLAIM:
		return claim(f, user);
	case KSCHED_IOC_VERSION:
		return KSCHED_ABI_VERSION;
	}
	if (!is_iokernel(f))
		return _IOC_TYPE(cmd) == KSCHED_IOC_MAGIC ? -EPERM : -ENOTTY;
	switch (cmd) {
	case KSCHED_IOC_KICK:
		return kick_one(arg);
	case KSCHED_IOC_KICK_MASK:
		return kick_mask(user);
	case KSCHED_IOC_ADOPT:
		return adopt(user);
	case KSCHED_IOC_RELEASE:
		return arg <= U32_MAX ? ksched_release_handle(arg) : -ESRCH;
	case KSCHED_IOC_EVICT:
		return arg <= U32_MAX ? ksched_evict(arg) : -ESRCH;
	}
	return -ENOTTY;
}

static int ksched_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct ksched_file *f = file->private_data;
	bool writable = false;
	size_t bytes;
	void *memory;

	if (!is_iokernel(f))
		return -EPERM;
	switch ((u64)vma->vm_pgoff << PAGE_SHIFT) {
	case KSCHED_MAP_REQUESTS:
		memory = ksched_requests;
		bytes = ksched_map_bytes(sizeof(*ksched_requests));
		writable = true;
		break;
	case KSCHED_MAP_STATUS:
		memory = ksched_statuses;
		bytes = ksched_map_bytes(sizeof(*ksched_statuses));
		break;
	case KSCHED_MAP_STATS:
		memory = ksched_stats;
		bytes = ksched_map_bytes(sizeof(*ksched_stats));
		break;
	default:
		return -EINVAL;
	}
	if (vma->vm_end - vma->vm_start > bytes)
		return -EINVAL;
	if (!writable && (vma->vm_flags & VM_WRITE))
		return -EACCES;
	/* A child of the IOKernel is not the IOKernel. */
	ksched_vm_flags(vma, VM_DONTCOPY, writable ? 0 : VM_MAYWRITE);
	return remap_vmalloc_range(vma, memory, 0);
}

static const struct file_operations ksched_fops = {
	.owner = THIS_MODULE, /* an open file keeps the module loaded */
	.open = ksched_open,
	.release = ksched_file_release,
	.unlocked_ioctl = ksched_ioctl,
	.mmap = ksched_mmap,
};

static struct miscdevice ksched_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ksched",
	.fops = &ksched_fops,
	.mode = 0666, /* anybody may enrol himself; claiming asks for more */
};

static int __init ksched_init(void)
{
	int error = ksched_cores_init();

	if (error)
		return error;
	error = ksched_threads_init();
	if (error)
		goto no_threads;
	error = ksched_bind_init();
	if (error)
		goto no_bind;
	error = misc_register(&ksched_device);
	if (error)
		goto no_device;
	return 0;

no_device:
	ksched_bind_exit();
no_bind:
	ksched_threads_exit();
no_threads:
	ksched_cores_exit();
	return error;
}

static void __exit ksched_exit(void)
{
	misc_deregister(&ksched_device);
	ksched_bind_exit();
	ksched_threads_exit();
	ksched_cores_exit();
}

module_init(ksched_init);
module_exit(ksched_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Grants cores to kernel threads at the word of a user-space IOKernel");
