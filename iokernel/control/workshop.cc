// workshop.cc - see workshop.h.
#include "iokernel/control/workshop.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "iokernel/abi/check.h"

namespace sluice {

Workshop::Workshop() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  SLUICE_CHECK(event_.valid(), "no file descriptor is left for an eventfd");
  thread_ = std::thread([this] { Work(); });
}

Workshop::~Workshop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Workshop::Make(const AppParams& params) { Submit({params, nullptr, params.id}); }

void Workshop::Free(AppId id, std::unique_ptr<DataplaneApp> app) { Submit({{}, std::move(app), id}); }

void Workshop::Submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

bool Workshop::Next(Done* done) {
  const std::lock_guard lock(mutex_);
  if (done_.empty()) {
    uint64_t count;
    [[maybe_unused]] const ssize_t got = read(event_.get(), &count, sizeof count);
    return false;
  }
  *done = std::move(done_.front());
  done_.pop_front();
  return true;
}

void Workshop::Work() {
  // The control thread may be a real-time thread; this one only takes time that is left over.
  const sched_param ordinary{};
  pthread_setschedparam(pthread_self(), SCHED_OTHER, &ordinary);
  pthread_setname_np(pthread_self(), "sluice-workshop");
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    Done done;
    done.id = job.id;
    if (job.app != nullptr) {
      job.app.reset();
      done.freed = true;
    } else if (auto made = DataplaneApp::Make(job.params)) {
      done.app = std::move(*made);
    } else {
      done.error = std::move(made.error());
    }
    lock.lock();
    done_.push_back(std::move(done));
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t wrote = write(event_.get(), &one, sizeof one);
  }
}

}  // namespace sluice
