// eal.h - an EAL for tests and benches: started once per process, without privileges, hugepages or files.
//
// DPDK makes a run directory even when it needs none; it is removed right after the start, so that nothing stays
// behind however the process ends.
#pragma once

#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

namespace sluice::testing {

namespace detail {

class Eal {
 public:
  explicit Eal(unsigned megabytes) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const std::string prefix = "sluice-test-" + std::to_string(getpid()) + "-" + std::to_string(now.tv_nsec);
    std::vector<std::string> words = {"test",
                                      "--no-huge",
                                      "--no-shconf",
                                      "--no-telemetry",
                                      "--no-pci",
                                      "--log-level=lib.eal:error",
                                      "-m",
                                      std::to_string(megabytes),
                                      "--file-prefix=" + prefix};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    // EAL ties the calling thread to its first CPU; a test wants to run where there is room.
    cpu_set_t cpus;
    pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
      std::fprintf(stderr, "rte_eal_init with %u MB and no hugepages failed: %s\n", megabytes, rte_strerror(rte_errno));
      std::abort();
    }
    pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    rmdir(rte_eal_get_runtime_dir());
  }
  ~Eal() { rte_eal_cleanup(); }
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;
};

}  // namespace detail

// Starts EAL with that much memory, unless it runs already (then with what the first call asked for).
inline void StartEal(unsigned megabytes = 96) { static const detail::Eal eal(megabytes); }

}  // namespace sluice::testing
