// fakes.h - a dataplane and a grant backend that do nothing but remember, for tests of the control thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "iokernel/brain/recorder.h"
#include "iokernel/control/gateway.h"

namespace sluice {

class FakeDataplane final : public DataplaneGateway {
 public:
  bool Post(const Command& command) override {
    const std::lock_guard lock(mutex_);
    if (full_) return false;
    seen_.push_back(command.kind);
    if (command.question != nullptr && answer_) {
      answer_(command.question->flow);
      command.question->answered = true;
      command.question->core = 2;
    }
    replies_.push_back({command.kind, command.id, command.app, command.question});
    changed_.notify_all();
    return true;
  }
  bool NextReply(Reply* reply) override {
    const std::lock_guard lock(mutex_);
    if (held_ || replies_.empty()) return false;
    *reply = replies_.front();
    replies_.pop_front();
    return true;
  }
  bool NextNotice(Notice* notice) override {
    const std::lock_guard lock(mutex_);
    if (notices_.empty()) return false;
    *notice = notices_.front();
    notices_.pop_front();
    return true;
  }
  const LoopCounters& loop_counters() const override { return loop_counters_; }
  const AllocatorCounters& allocator_counters() const override { return allocator_counters_; }
  const AllocatorOptions& allocator_options() const override { return allocator_options_; }
  Recorder& recorder() override { return recorder_; }

  // The test's thread.
  void Hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
  }
  void Fill(bool full) {
    const std::lock_guard lock(mutex_);
    full_ = full;
  }
  void Say(const Notice& notice) {
    const std::lock_guard lock(mutex_);
    notices_.push_back(notice);
  }
  // What the apps' steering policies answer; without it, the apps have gone.
  void AnswerWith(std::function<void(FlowRequest&)> answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  // Waits until that many commands have come; what they were.
  std::vector<CommandKind> Await(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return seen_.size() >= count; });
    return seen_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool full_ = false;
  std::vector<CommandKind> seen_;
  std::deque<Reply> replies_;
  std::deque<Notice> notices_;
  LoopCounters loop_counters_;
  AllocatorCounters allocator_counters_;
  AllocatorOptions allocator_options_{.cores = {CoreSpec{1}, CoreSpec{2}, CoreSpec{3}}};
  Recorder recorder_;
  std::function<void(FlowRequest&)> answer_;
};

class FakeBackend final : public GrantBackend {
 public:
  std::string_view name() const override { return "fake"; }
  void Enrol(AppId app, pid_t pid, std::span<const EnrolledThread> threads, Priority) override {
    const std::lock_guard lock(mutex_);
    enrolled_.push_back({app, pid, threads.front().tid});
  }
  void Release(AppId app) override {
    const std::lock_guard lock(mutex_);
    released_.push_back(app);
    changed_.notify_all();
  }
  void Wake(AppId, KthreadId, CoreId) override {}
  void Interrupt(AppId, KthreadId) override {}
  void Evict(AppId, KthreadId) override {}

  struct Enrolment {
    AppId app;
    pid_t pid;
    pid_t first_tid;
  };
  std::vector<Enrolment> enrolled() {
    const std::lock_guard lock(mutex_);
    return enrolled_;
  }
  std::vector<AppId> AwaitReleased(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return released_.size() >= count; });
    return released_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Enrolment> enrolled_;
  std::vector<AppId> released_;
};

}  // namespace sluice
