// checks.cc - what doctor looks at.
#include <linux/if_xdp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "apps/sluicectl/doctor.h"

namespace sluice::ctl {
namespace {

#ifndef MADV_GUARD_INSTALL  // Linux 6.13
#define MADV_GUARD_INSTALL 102
#endif

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

uint64_t Number(const std::string& path) { return std::strtoull(FirstLine(path).c_str(), nullptr, 10); }

// True if /proc/cpuinfo lists the flag.
bool CpuFlag(const std::string& wanted) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == wanted) return true;
    }
    return false;
  }
  return false;
}

Finding CheckCpuFlags() {
  std::string missing;
  for (const char* flag : {"avx2", "bmi2", "fma"}) {
    if (!CpuFlag(flag)) missing += (missing.empty() ? "" : ", ") + std::string(flag);
  }
  if (missing.empty()) return {"cpu flags", Verdict::kPass, "avx2, bmi2, fma", ""};
  return {"cpu flags", Verdict::kFail, "missing: " + missing, "build with -DSLUICE_MARCH=x86-64-v2"};
}

Finding CheckTsc() {
  const std::string source = FirstLine("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  if ((CpuFlag("constant_tsc") && CpuFlag("nonstop_tsc")) || source == "tsc") {
    return {"invariant tsc", Verdict::kPass, "yes; the kernel's clock is " + source, ""};
  }
  return {"invariant tsc", Verdict::kWarn,
          "not promised; intervals may be wrong (the kernel's clock is " + source + ")",
          "boot with tsc=reliable if the hypervisor keeps it steady"};
}

Finding CheckCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  const int count = CPU_COUNT(&set);
  const std::string found = std::to_string(count) + " usable, online " + FirstLine("/sys/devices/system/cpu/online");
  if (count < 2)
    return {"free cpus", Verdict::kFail, found + "; one is for the loop, apps need another",
            "taskset -c 0-N, or more CPUs"};
  if (count < 4) {
    return {"free cpus", Verdict::kWarn, found + ": one for the loop, " + std::to_string(count - 1) + " for apps",
            "iokerneld --cpu 0 --cores '1*4' (slots that share a CPU)"};
  }
  const std::string isolated = FirstLine("/sys/devices/system/cpu/isolated");
  if (isolated.empty()) {
    return {"free cpus", Verdict::kWarn, found + "; none is kept free of other work",
            "boot with isolcpus=1-N nohz_full=1-N"};
  }
  return {"free cpus", Verdict::kPass, found + ", isolated " + isolated, ""};
}

Finding CheckHugepages() {
  uint64_t free_mib = 0;
  std::error_code none;
  for (const auto& size : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", none)) {
    const std::string name = size.path().filename().string();  // hugepages-2048kB
    const uint64_t kib = std::strtoull(name.c_str() + std::min(name.size(), std::strlen("hugepages-")), nullptr, 10);
    free_mib += Number(size.path().string() + "/free_hugepages") * kib / 1024;
  }
  const std::string found = std::to_string(free_mib) + " MiB free";
  constexpr uint64_t kEnoughMib = 256;
  if (free_mib >= kEnoughMib) return {"hugepages", Verdict::kPass, found, ""};
  return {"hugepages", Verdict::kWarn, found + "; iokerneld then uses ordinary pages",
          "echo 128 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"};
}

Finding CheckShmemThp() {
  const std::string path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  const std::string line = FirstLine(path);
  const size_t open = line.find('['), close = line.find(']');
  const std::string chosen = open == std::string::npos ? "not there" : line.substr(open + 1, close - open - 1);
  if (chosen == "always" || chosen == "advise" || chosen == "within_size" || chosen == "force") {
    return {"shmem thp", Verdict::kPass, chosen, ""};
  }
  return {"shmem thp", Verdict::kWarn, chosen + "; apps' regions are mapped by small pages", "echo advise > " + path};
}

Finding CheckAfXdp() {
  const int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  const int error = errno;
  if (fd >= 0) {
    close(fd);
    return {"af_xdp", Verdict::kPass, "the kernel has it", ""};
  }
  if (error == EPERM)
    return {"af_xdp", Verdict::kWarn, "not allowed for this user", "run as root, or with CAP_NET_RAW"};
  return {"af_xdp", Verdict::kWarn, std::strerror(error),
          "a kernel with CONFIG_XDP_SOCKETS, or iokerneld --port tap:NAME"};
}

Finding CheckTun() {
  if (access("/dev/net/tun", R_OK | W_OK) == 0) return {"tap", Verdict::kPass, "/dev/net/tun can be opened", ""};
  return {"tap", Verdict::kWarn, std::string("/dev/net/tun: ") + std::strerror(errno), "modprobe tun"};
}

Finding CheckKsched() {
  if (access("/dev/ksched", R_OK | W_OK) == 0) return {"ksched", Verdict::kPass, "/dev/ksched can be opened", ""};
  return {"ksched", Verdict::kWarn, std::string("/dev/ksched: ") + std::strerror(errno) + "; cores are given by futex",
          "insmod ksched.ko"};
}

Finding CheckRoot() {
  if (geteuid() == 0) return {"user", Verdict::kPass, "root", ""};
  return {"user", Verdict::kWarn, "user " + std::to_string(geteuid()) + "; iokerneld's ports need root",
          "sudo sluicectl doctor"};
}

Finding CheckMemlock() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return {"limit memlock", Verdict::kPass, "unlimited", ""};
  const std::string found = std::to_string(limit.rlim_cur >> 10) + " KiB";
  if (geteuid() == 0) return {"limit memlock", Verdict::kPass, found + ", which does not bind root", ""};
  return {"limit memlock", Verdict::kWarn, found, "ulimit -l unlimited"};
}

Finding CheckNofile() {
  constexpr rlim_t kEnough = 4096;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const std::string found = std::to_string(limit.rlim_cur);
  if (limit.rlim_cur >= kEnough) return {"limit nofile", Verdict::kPass, found, ""};
  return {"limit nofile", Verdict::kWarn, found + "; many apps with many kthreads need more", "ulimit -n 65536"};
}

bool HasGuardPages() {
  const size_t bytes = 2 * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  const bool has = madvise(memory, bytes / 2, MADV_GUARD_INSTALL) == 0;
  munmap(memory, bytes);
  return has;
}

Finding CheckMapCount() {
  const uint64_t count = Number("/proc/sys/vm/max_map_count");
  const std::string found = std::to_string(count);
  if (HasGuardPages())
    return {"max_map_count", Verdict::kPass, found + "; stacks do not need it (MADV_GUARD_INSTALL)", ""};
  constexpr uint64_t kEnough = 1'000'000;
  if (count >= kEnough) return {"max_map_count", Verdict::kPass, found, ""};
  return {"max_map_count", Verdict::kWarn, found + ": about " + std::to_string(count / 2) + " uthreads per app",
          "sysctl -w vm.max_map_count=1048576"};
}

// Where Linux shares a CPU out by session, SCHED_IDLE counts only among the threads of one: iokerneld's and an app's
// are seldom that.
Finding CheckAutogroup() {
  if (Number("/proc/sys/kernel/sched_autogroup_enabled") == 0) return {"autogroup", Verdict::kPass, "off", ""};
  return {"autogroup", Verdict::kWarn, "on; best-effort apps and the idle burner take a whole share of a CPU in use",
          "sysctl -w kernel.sched_autogroup_enabled=0"};
}

}  // namespace

std::vector<Finding> Examine(const std::string& port) {
  std::vector<Finding> findings = {CheckCpuFlags(), CheckTsc(),     CheckCpus(),   CheckHugepages(), CheckShmemThp(),
                                   CheckRoot(),     CheckMemlock(), CheckNofile(), CheckMapCount(),  CheckAutogroup(),
                                   CheckAfXdp(),    CheckTun(),     CheckKsched()};
  ExamineInterfaces(port, findings);
  return findings;
}

}  // namespace sluice::ctl
