// workshop.h - the helper thread that makes and frees apps' memory, milliseconds of work each, so that the
// control thread is always free to act on a hang-up.
//
// Make, Free, Next: control thread. One job at a time, in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tl/expected.hpp>

#include "iokernel/control/file_descriptor.h"
#include "iokernel/dataplane/app.h"

namespace sluice {

class Workshop {
 public:
  Workshop();
  ~Workshop();  // frees what was handed in, and what nobody took
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;

  void Make(const AppParams& params);
  void Free(AppId id, std::unique_ptr<DataplaneApp> app);

  struct Done {
    AppId id = kNoApp;
    bool freed = false;                 // else made, or not
    std::unique_ptr<DataplaneApp> app;  // null if freed, or if it could not be made:
    std::string error;
  };
  // The next finished job, if any. fd() is readable while there may be one.
  [[nodiscard]] bool Next(Done* done);
  [[nodiscard]] int fd() const { return event_.get(); }

 private:
  struct Job {
    AppParams params;                   // to be made
    std::unique_ptr<DataplaneApp> app;  // to be freed, if set
    AppId id = kNoApp;
  };
  void Work();
  void Submit(Job job);

  FileDescriptor event_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;   // guarded by mutex_
  std::deque<Done> done_;  // guarded by mutex_
  bool stop_ = false;      // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice
