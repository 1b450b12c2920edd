// record_print.cc - see record_print.h.
#include "apps/sluicectl/record_print.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "iokernel/brain/record_reader.h"

namespace sluice::ctl {
namespace {

using Json = nlohmann::ordered_json;
using namespace record;

// A file in memory, for as long as it lives.
class Mapped {
 public:
  explicit Mapped(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat facts {};
    if (fd >= 0 && fstat(fd, &facts) == 0 && facts.st_size > 0) {
      bytes_ = static_cast<size_t>(facts.st_size);
      void* at = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, fd, 0);
      if (at != MAP_FAILED) data_ = static_cast<const std::byte*>(at);
    }
    error_ = errno;
    empty_ = fd >= 0 && facts.st_size == 0;
    if (fd >= 0) close(fd);
  }
  ~Mapped() {
    if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), bytes_);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  [[nodiscard]] std::string fault() const {
    return data_ != nullptr ? "" : empty_ ? "the file is empty" : std::strerror(error_);
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, bytes_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  int error_ = 0;
  bool empty_ = false;
};

struct Printer {
  const Reader& reader;

  [[nodiscard]] double Us(uint64_t ticks) const {
    return static_cast<double>(ticks) * 1e6 / static_cast<double>(reader.header().tsc_hz);
  }
  [[nodiscard]] Json Head(const RecordHead& head) const {
    const uint64_t start = reader.header().start_ticks;
    Json json = {{"t_us", head.time >= start ? Us(head.time - start) : -Us(start - head.time)},
                 {"what", Name(head.type)}};
    if (head.app != kNobody) json["app"] = head.app;
    return json;
  }
  void operator()(const RecordAttach& r, Json& json) const {
    json["kthreads"] = r.kthreads;
    json["guaranteed"] = r.guaranteed;
    json["priority"] = r.best_effort == 1 ? "best-effort" : "latency-critical";
    if (r.slice_ticks != 0) json["slice_us"] = Us(r.slice_ticks);
  }
  void operator()(const RecordDetach&, Json&) const {}
  void operator()(const Poll& r, Json& json) const {
    constexpr const char* kVerdicts[] = {"keep", "add", "give-up"};
    json["verdict"] = kVerdicts[r.fixed.verdict];
    json["polls"] = r.fixed.polls;
    json["kthreads"] = Json::array();
    for (const KthreadSample& s : r.samples) {
      json["kthreads"].push_back({{"kthread", s.kthread},
                                  {"uthreads", s.rq_tail - s.rq_head},
                                  {"packets", s.rx_sent - s.rx_consumed},
                                  {"uthread_us", Us(s.oldest_uthread_age_ticks)},
                                  {"packet_us", Us(s.oldest_packet_age_ticks)},
                                  {"busy_ticks", s.busy_ticks}});
    }
  }
  void operator()(const RecordWork& r, Json& json) const {
    if (r.kthread != kNobody) json["kthread"] = r.kthread;
    json["cause"] = Name(r.cause);
  }
  void operator()(const RecordGrant& r, Json& json) const {
    json["kthread"] = r.kthread;
    json["core"] = r.core;
    json["cause"] = Name(r.cause);
    json["promised"] = r.promised == 1;
  }
  void operator()(const RecordStart& r, Json& json) const {
    json["kthread"] = r.kthread;
    json["core"] = r.core;
    json["took_us"] = Us(r.took_ticks);
  }
  void operator()(const RecordPark& r, Json& json) const {
    json["kthread"] = r.kthread;
    json["core"] = r.core;
    json["preempted"] = r.preempted == 1;
    json["ceded"] = r.ceded == 1;
    json["timer_in_us"] = r.next_timer_ticks == kNoTimer     ? Json(nullptr)
                          : r.next_timer_ticks < r.head.time ? Json(0)
                                                             : Json(Us(r.next_timer_ticks - r.head.time));
  }
  void operator()(const RecordCede& r, Json& json) const {
    json["kthread"] = r.kthread;
    json["core"] = r.core;
    json["heir"] = r.heir == kNobody ? Json(nullptr) : Json(r.heir);
  }
  void operator()(const RecordEvict& r, Json& json) const {
    json["kthread"] = r.kthread;
    json["core"] = r.core;
  }
  void operator()(const RecordTurn& r, Json& json) const {
    json["kthread"] = r.kthread;
    json["core"] = r.core;
    json["ran_us"] = Us(r.ran_ticks);
  }
  void operator()(const RecordRefuse&, Json&) const {}
  void operator()(const RecordDropped& r, Json& json) const { json["records"] = r.records; }
  void operator()(const RecordEnd& r, Json& json) const {
    constexpr const char* kReasons[] = {"stopped", "limit", "write failed"};
    json["reason"] = kReasons[static_cast<size_t>(r.reason)];
  }
};

Json Header(const Reader& reader) {
  const FileHeader& h = reader.header();
  Json json = {{"what", "header"},
               {"version", h.version},
               {"tsc_hz", h.tsc_hz},
               {"start_unix_ns", h.start_unix_ns},
               {"interval_us", static_cast<double>(h.interval_ticks) * 1e6 / static_cast<double>(h.tsc_hz)},
               {"shared_cpus", h.shared_cpus == 1},
               {"pick", h.pick.data()},
               {"congestion", h.congestion.data()},
               {"placement", h.placement.data()},
               {"cores", Json::array()}};
  for (const CoreEntry& core : reader.cores()) {
    json["cores"].push_back({{"cpu", core.cpu},
                             {"node", core.node},
                             {"sibling", core.sibling == kNobody ? Json(nullptr) : Json(core.sibling)}});
  }
  return json;
}

}  // namespace

tl::expected<void, std::string> PrintRecord(const std::string& file, std::FILE* out) {
  const Mapped mapped(file);
  if (!mapped.fault().empty()) return tl::make_unexpected(file + ": " + mapped.fault());
  auto reader = Reader::Open(mapped.bytes());
  if (!reader) return tl::make_unexpected(file + ": " + reader.error());
  const auto line = [out](const Json& json) { return std::fprintf(out, "%s\n", json.dump().c_str()) >= 0; };
  if (!line(Header(*reader))) return {};
  const Printer printer{*reader};
  for (;;) {
    const auto next = reader->Next();
    if (!next) return tl::make_unexpected(file + ": " + next.error());
    if (!*next) break;
    Json json = printer.Head(record::Head(**next));
    std::visit([&](const auto& r) { printer(r, json); }, **next);
    if (!line(json)) return {};  // whoever read this has gone
  }
  if (!reader->complete()) return tl::make_unexpected(file + ": it is cut off here");
  return {};
}

}  // namespace sluice::ctl
