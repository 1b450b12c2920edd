#include "iokernel/grant/ksched.h"

#include <algorithm>
#include <cerrno>

#include "iokernel/abi/clock.h"
#include "iokernel/abi/version.h"
#include "iokernel/grant/threads.h"

namespace sluice {
namespace {

void Count(std::atomic<uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

KschedBackend::KschedBackend(std::unique_ptr<KschedDevice> device, const FutexOptions& options)
    : device_(std::move(device)), futex_(options), core_cpus_(options.core_cpus), overstay_(options.overstay) {
  to_kick_.reserve(4 * core_cpus_.size());  // more than a pass can ask of them
  waiting_.reserve(core_cpus_.size() + 1);
}

uint64_t KschedBackend::features() const { return abi::kFeatureKsched; }

void KschedBackend::Refused(int error) {
  // ESRCH: it died a moment ago, and its detach is on the way.
  if (error != 0 && error != ESRCH) Count(counters_.failures);
}

void KschedBackend::Enrol(AppId app, pid_t pid, std::span<const EnrolledThread> threads, Priority priority) {
  std::vector<Thread>& enrolled = apps_[app];
  enrolled.clear();
  for (const EnrolledThread& thread : threads) {
    const auto handle = device_->Adopt(pid, thread.tid);
    if (handle) enrolled.push_back({.handle = *handle, .tid = thread.tid});
  }
  if (enrolled.size() != threads.size()) {
    // Those that have enrolled are told, and sleep by futex like the others.
    Release(app);
    futex_.Enrol(app, pid, threads, priority);
    return;
  }
  for (const Thread& thread : enrolled) Refused(ApplyPriority(thread.tid, priority));
}

void KschedBackend::Release(AppId app) {
  for (const Thread& thread : apps_[app]) Refused(device_->Release(thread.handle));
  apps_[app].clear();
  futex_.Release(app);
}

KschedBackend::Thread* KschedBackend::Find(AppId app, KthreadId kthread) {
  return kthread < apps_[app].size() ? &apps_[app][kthread] : nullptr;
}

void KschedBackend::Wake(AppId app, KthreadId kthread, CoreId core) {
  Thread* thread = Find(app, kthread);
  if (thread == nullptr) return futex_.Wake(app, kthread, core);
  thread->cpu = core_cpus_[core];
  const Ticks now = abi::ReadTsc();
  thread->generation = device_->Grant(thread->cpu, thread->handle, now);
  if (overstay_ != 0) {
    std::erase_if(waiting_, [thread](const Waiting& grant) { return grant.cpu == thread->cpu; });
    waiting_.push_back({thread->cpu, thread->handle, thread->generation, now});
  }
  if (!device_->Watching(thread->cpu)) to_kick_.push_back(thread->cpu);
  Count(counters_.wakes);
}

void KschedBackend::Interrupt(AppId app, KthreadId kthread) {
  Thread* thread = Find(app, kthread);
  if (thread == nullptr) return futex_.Interrupt(app, kthread);
  device_->Cede(thread->cpu, thread->generation);
  to_kick_.push_back(thread->cpu);
  Count(counters_.interrupts);
}

void KschedBackend::EndTurn(AppId app, KthreadId kthread) {
  Thread* thread = Find(app, kthread);
  if (thread == nullptr) return futex_.EndTurn(app, kthread);
  device_->Yield(thread->cpu);
  to_kick_.push_back(thread->cpu);
  Count(counters_.turns);
}

void KschedBackend::Evict(AppId app, KthreadId kthread) {
  Thread* thread = Find(app, kthread);
  if (thread == nullptr) return futex_.Evict(app, kthread);
  const int error = device_->Evict(thread->handle);
  Refused(error);
  if (error != 0) return;
  Refused(ApplyPriority(thread->tid, Priority::kBestEffort));
  Count(counters_.evictions);
}

void KschedBackend::Flush() {
  if (!waiting_.empty()) PutOffWhoStays();
  if (to_kick_.empty()) return;
  Refused(to_kick_.size() == 1 ? device_->Kick(to_kick_.front()) : device_->KickAll(to_kick_));
  to_kick_.clear();
}

// Whoever has the CPU of a grant that is not carried out has said that it had parked, or it would not be granted.
void KschedBackend::PutOffWhoStays() {
  const Ticks now = abi::ReadTsc();
  while (!waiting_.empty() && now - waiting_.front().since > overstay_) {
    const Waiting grant = waiting_.front();
    waiting_.erase(waiting_.begin());
    if (device_->Served(grant.cpu) == grant.generation) continue;
    const uint32_t holder = device_->Holder(grant.cpu);
    if (holder == 0 || holder == grant.handle || GrantedElsewhere(holder, grant.cpu)) continue;
    Refused(device_->Evict(holder));
    Count(counters_.overstays);
  }
}

bool KschedBackend::GrantedElsewhere(uint32_t handle, uint32_t cpu) const {
  return std::any_of(core_cpus_.begin(), core_cpus_.end(),
                     [&](uint16_t other) { return other != cpu && device_->Holder(other) == handle; }) ||
         std::any_of(waiting_.begin(), waiting_.end(), [&](const Waiting& grant) { return grant.handle == handle; });
}

std::vector<uint64_t> KschedBackend::KernelLatency() const {
  std::vector<uint64_t> buckets(KSCHED_LATENCY_BUCKETS);
  for (const uint16_t cpu : core_cpus_) {
    const ksched_stats stats = device_->Stats(cpu);
    for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += stats.latency[i];
  }
  return buckets;
}

}  // namespace sluice
