// app.h - an app of one thread, for the tests of what happens to a thread that has, or waits for, a core.
#pragma once

#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <string>

#include "tests/vm/rig.h"

namespace sluice::vm {

// A fork whose child has that number, which is free.
inline pid_t ForkAs(pid_t pid) {
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uintptr_t>(&pid);
  arguments.set_tid_size = 1;
  return static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
}

// A process with one enrolled thread, its main one, that runs `main` and says who it is. It has the number `pid` if
// that is not 0.
class App {
 public:
  explicit App(const std::function<void(const Enrolment&)>& main, pid_t pid = 0) {
    int ready[2];
    EXPECT_EQ(0, pipe(ready));
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int cpu = 0; cpu <= static_cast<int>(kLastCore); ++cpu) CPU_SET(cpu, &all);
    pid_ = pid == 0 ? fork() : ForkAs(pid);
    EXPECT_GE(pid_, 0);
    if (pid_ == 0) {
      // The IOKernel's file, too: as long as somebody has it the IOKernel lives.
      for (int fd = 3; fd < 64; ++fd) {
        if (fd != ready[1]) close(fd);
      }
      sched_setaffinity(0, sizeof all, &all);
      const Enrolment enrolment(SIGURG, 0);
      signal(SIGURG, [](int) { told = true; });
      if (write(ready[1], "r", 1) != 1) _exit(1);
      main(enrolment);
      _exit(0);
    }
    char byte;
    EXPECT_EQ(1, read(ready[0], &byte, 1));
    close(ready[0]);
    close(ready[1]);
  }
  ~App() { Kill(); }
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  // In the app: SIGURG, the signal of a cede, has come.
  static inline volatile std::sig_atomic_t told = false;
  // What it ended with; -1: it does not end.
  int Wait() {
    int status = -1;
    if (Eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
};

inline void ParkForEver(const Enrolment& enrolment) {
  while (true) (void)enrolment.Park();
}
inline void SpinWhenGranted(const Enrolment& enrolment) {
  (void)enrolment.Park();
  while (true) asm volatile("pause");
}
// Keeps what it is granted until SIGURG.
inline void ParkWhenTold(const Enrolment& enrolment) {
  while (true) {
    (void)enrolment.Park();
    while (!App::told) asm volatile("pause");
    App::told = false;
  }
}

// The state letter of /proc/PID/stat.
inline char StateOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t name = text.rfind(')');
  return name == std::string::npos ? '?' : text[name + 2];
}
inline bool Write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// The CPUs that a process may run on, as "0,2-3".
inline std::string Allowed(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string word, list;
  while (file >> word) {
    if (word == "Cpus_allowed_list:" && file >> list) return list;
  }
  return "";
}

// A cgroup, gone once its processes are.
class Cgroup {
 public:
  explicit Cgroup(const std::string& name) : path_("/sys/fs/cgroup/" + name) {
    EXPECT_TRUE(mkdir(path_.c_str(), 0755) == 0 || errno == EEXIST);
  }
  ~Cgroup() {
    EXPECT_TRUE(Eventually([&] { return rmdir(path_.c_str()) == 0; }));
  }
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  void Set(const std::string& file, const std::string& text) { ASSERT_TRUE(Write(path_ + "/" + file, text)) << file; }
  void Add(const App& app) { Set("cgroup.procs", std::to_string(app.pid())); }
  // And waits until all its processes are.
  void Freeze(bool freeze) {
    Set("cgroup.freeze", freeze ? "1" : "0");
    ASSERT_TRUE(Eventually([&] {
      std::ifstream events(path_ + "/cgroup.events");
      const std::string text((std::istreambuf_iterator<char>(events)), {});
      return text.find(freeze ? "frozen 1" : "frozen 0") != std::string::npos;
    }));
  }

 private:
  const std::string path_;
};

class LifeTest : public KschedTest {
 protected:
  uint32_t Adopt(const App& app) { return device_->Adopt(app.pid(), app.pid()).value_or(0); }
  using KschedTest::Adopt;
  // Grants the core and waits until somebody has it.
  uint32_t GiveAndWait(uint32_t cpu, uint32_t handle) {
    const uint32_t generation = Give(cpu, handle);
    EXPECT_TRUE(Eventually([&] { return device_->Served(cpu) == generation; }));
    return generation;
  }
};

}  // namespace sluice::vm
