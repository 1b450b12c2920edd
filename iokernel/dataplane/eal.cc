#include "iokernel/dataplane/eal.h"

#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMiB = size_t{1} << 20;
// For EAL's own structures, and what the heap loses between large blocks.
constexpr size_t kMarginBytes = 24 * kMiB;

size_t FreeHugepageBytes() {
  size_t bytes = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/kernel/mm/hugepages", error)) {
    size_t kilobytes = 0;
    if (std::sscanf(entry.path().filename().c_str(), "hugepages-%zukB", &kilobytes) != 1) continue;
    std::ifstream file(entry.path() / "free_hugepages");
    size_t pages = 0;
    if (file >> pages) bytes += pages * kilobytes * 1024;
  }
  return bytes;
}

// The first CPU this thread may use: EAL wants to pin its main thread somewhere.
int FirstCpu(const cpu_set_t& set) {
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) return cpu;
  }
  return 0;
}

std::string HowToGetHugepages(size_t megabytes) {
  return "for hugepages: echo " + std::to_string((megabytes + 1) / 2) +
         " > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
}

}  // namespace

tl::expected<std::unique_ptr<Eal>, std::string> Eal::Start(const EalOptions& options) {
  const size_t bytes = options.memory_bytes + options.memory_bytes / 16 + kMarginBytes;
  const size_t megabytes = (bytes + kMiB - 1) / kMiB;
  const size_t huge_bytes = options.allow_hugepages ? FreeHugepageBytes() : 0;

  auto eal = std::unique_ptr<Eal>(new Eal);
  eal->hugepages_ = huge_bytes >= bytes;

  cpu_set_t affinity;
  CPU_ZERO(&affinity);
  pthread_getaffinity_np(pthread_self(), sizeof(affinity), &affinity);

  std::vector<std::string> arguments = {"sluice",
                                        "--no-telemetry",
                                        "--file-prefix=sluice-" + options.unique,
                                        "--lcores=0@" + std::to_string(FirstCpu(affinity)),
                                        "-m",
                                        std::to_string(megabytes)};
  if (eal->hugepages_) {
    arguments.emplace_back("--in-memory");
  } else {
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
  }
  if (options.pci_address.empty()) {
    arguments.insert(arguments.end(), {"--no-pci", "--iova-mode=va"});
  } else {
    // Which addresses the device can use is EAL's to find out.
    arguments.insert(arguments.end(), {"-a", options.pci_address});
  }

  rte_log_set_global_level(options.verbose ? RTE_LOG_INFO : RTE_LOG_ERR);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int result = rte_eal_init(static_cast<int>(arguments.size()), argv.data());
  const int error = rte_errno;
  // EAL has pinned this thread; the caller's placement is not EAL's business.
  pthread_setaffinity_np(pthread_self(), sizeof(affinity), &affinity);
  if (result < 0) {
    return tl::unexpected("DPDK does not start with " + std::to_string(megabytes) + " MiB " +
                          (eal->hugepages_ ? "in hugepages" : "without hugepages") + ": " + rte_strerror(error) +
                          (error == EACCES || error == EPERM ? " (run as root)" : ""));
  }

  eal->run_dir_ = rte_eal_get_runtime_dir();
  eal->summary_ = std::to_string(megabytes) + " MiB of packet memory ";
  if (eal->hugepages_) {
    eal->summary_ += "in hugepages";
  } else if (!options.allow_hugepages) {
    eal->summary_ += "in ordinary pages, as asked";
  } else {
    eal->summary_ += "in ordinary pages: " + std::to_string(huge_bytes / kMiB) + " MiB of hugepages are free (" +
                     HowToGetHugepages(megabytes) + ")";
  }
  return eal;
}

Eal::~Eal() {
  if (run_dir_.empty()) return;  // it has not started
  rte_eal_cleanup();
  // DPDK leaves an empty directory behind, and its parent; others' instances keep theirs.
  if (rmdir(run_dir_.c_str()) == 0) rmdir(fs::path(run_dir_).parent_path().c_str());
}

}  // namespace sluice
