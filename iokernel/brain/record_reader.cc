// record_reader.cc - see record_reader.h.
#include "iokernel/brain/record_reader.h"

#include <algorithm>
#include <cstring>

namespace sluice::record {
namespace {

template <class T>
T Copy(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// A policy's name that ends within its field.
bool IsName(const std::array<char, kPolicyNameBytes>& field) {
  const auto* end = std::find(field.begin(), field.end(), '\0');
  return end != field.end() && std::all_of(field.begin(), end, [](char c) { return c > ' ' && c < 0x7f; });
}

// What is wrong with a header; null: nothing.
const char* Fault(const FileHeader& h) {
  if (h.tsc_hz == 0) return "a clock that does not tick";
  if (h.cores == 0 || h.cores > kMaxCores) return "an impossible number of cores";
  if (h.header_bytes != sizeof(FileHeader) + h.cores * sizeof(CoreEntry)) return "a header of the wrong size";
  if (h.grants_per_pass == 0) return "a pass that may grant nothing";
  if (h.shared_cpus > 1) return "shared_cpus is neither 0 nor 1";
  if (!IsName(h.pick) || !IsName(h.congestion) || !IsName(h.placement)) return "a policy's name that is no text";
  return nullptr;
}

class Checker {
 public:
  Checker(const RecordHead& head, uint16_t cores) : head_(head), cores_(cores) {}
  [[nodiscard]] bool App() const { return head_.app < kMaxApps; }
  [[nodiscard]] bool NoApp() const { return head_.app == kNobody; }
  [[nodiscard]] bool Kthread(uint16_t kthread) const { return App() && kthread < abi::kMaxKthreads; }
  [[nodiscard]] bool KthreadOn(uint16_t kthread, uint16_t core) const { return Kthread(kthread) && core < cores_; }

  [[nodiscard]] bool operator()(const RecordAttach& r) const {
    return App() && r.kthreads >= 1 && r.kthreads <= abi::kMaxKthreads && r.guaranteed <= r.kthreads &&
           r.best_effort <= 1;
  }
  [[nodiscard]] bool operator()(const RecordDetach&) const { return App(); }
  [[nodiscard]] bool operator()(const RecordWork& r) const {
    const bool of_app = r.kthread == kNobody && (r.cause == Cause::kKick || r.cause == Cause::kPacket);
    return (of_app ? App() : Kthread(r.kthread)) && r.cause <= Cause::kKick;
  }
  [[nodiscard]] bool operator()(const RecordGrant& r) const {
    return KthreadOn(r.kthread, r.core) && r.cause <= Cause::kSnapshot && r.promised <= 1;
  }
  [[nodiscard]] bool operator()(const RecordStart& r) const { return KthreadOn(r.kthread, r.core); }
  [[nodiscard]] bool operator()(const RecordPark& r) const {
    return KthreadOn(r.kthread, r.core) && r.preempted <= 1 && r.ceded <= 1;
  }
  [[nodiscard]] bool operator()(const RecordCede& r) const {
    return KthreadOn(r.kthread, r.core) && (r.heir == kNobody || r.heir < kMaxApps);
  }
  [[nodiscard]] bool operator()(const RecordEvict& r) const { return KthreadOn(r.kthread, r.core); }
  [[nodiscard]] bool operator()(const RecordTurn& r) const { return KthreadOn(r.kthread, r.core); }
  [[nodiscard]] bool operator()(const RecordRefuse&) const { return App(); }
  [[nodiscard]] bool operator()(const RecordDropped& r) const { return NoApp() && r.records > 0; }
  [[nodiscard]] bool operator()(const RecordEnd& r) const { return NoApp() && r.reason <= EndReason::kWriteFailed; }

 private:
  const RecordHead& head_;
  const uint16_t cores_;
};

// The record at `from`, if it is of its type's size and its numbers are possible.
template <class T>
std::optional<Record> Fixed(const std::byte* from, const RecordHead& head, uint16_t cores) {
  if (head.bytes != sizeof(T)) return std::nullopt;
  const T record = Copy<T>(from);
  if (!Checker(head, cores)(record)) return std::nullopt;
  return record;
}

std::optional<Record> ReadPoll(const std::byte* from, const RecordHead& head, uint16_t cores) {
  if (head.bytes < sizeof(RecordPoll) || head.app >= kMaxApps) return std::nullopt;
  Poll poll{Copy<RecordPoll>(from), {}};
  if (poll.fixed.samples > cores || poll.fixed.verdict > 2 || poll.fixed.polls == 0 ||
      head.bytes != sizeof(RecordPoll) + poll.fixed.samples * sizeof(KthreadSample)) {
    return std::nullopt;
  }
  poll.samples = {reinterpret_cast<const KthreadSample*>(from + sizeof(RecordPoll)), poll.fixed.samples};
  for (const KthreadSample& sample : poll.samples) {
    if (sample.kthread >= abi::kMaxKthreads) return std::nullopt;
  }
  return poll;
}

std::optional<Record> Read(const std::byte* from, const RecordHead& head, uint16_t cores) {
  switch (head.type) {
    case RecordType::kAttach:
      return Fixed<RecordAttach>(from, head, cores);
    case RecordType::kDetach:
      return Fixed<RecordDetach>(from, head, cores);
    case RecordType::kPoll:
      return ReadPoll(from, head, cores);
    case RecordType::kWork:
      return Fixed<RecordWork>(from, head, cores);
    case RecordType::kGrant:
      return Fixed<RecordGrant>(from, head, cores);
    case RecordType::kStart:
      return Fixed<RecordStart>(from, head, cores);
    case RecordType::kPark:
      return Fixed<RecordPark>(from, head, cores);
    case RecordType::kCede:
      return Fixed<RecordCede>(from, head, cores);
    case RecordType::kEvict:
      return Fixed<RecordEvict>(from, head, cores);
    case RecordType::kTurn:
      return Fixed<RecordTurn>(from, head, cores);
    case RecordType::kRefuse:
      return Fixed<RecordRefuse>(from, head, cores);
    case RecordType::kDropped:
      return Fixed<RecordDropped>(from, head, cores);
    case RecordType::kEnd:
      return Fixed<RecordEnd>(from, head, cores);
  }
  return std::nullopt;
}

}  // namespace

const RecordHead& Head(const Record& record) {
  return std::visit(
      [](const auto& r) -> const RecordHead& {
        if constexpr (requires { r.fixed; }) {
          return r.fixed.head;
        } else {
          return r.head;
        }
      },
      record);
}

const char* Name(RecordType type) {
  constexpr const char* kNames[] = {"attach", "detach", "poll",   "work",    "grant", "start", "park",
                                    "cede",   "evict",  "refuse", "dropped", "end",   "turn"};
  const size_t index = static_cast<size_t>(type) - 1;
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

const char* Name(Cause cause) {
  constexpr const char* kNames[] = {"congestion", "packet", "timer", "uthread", "kick", "snapshot"};
  const auto index = static_cast<size_t>(cause);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

KthreadSignals Signals(const KthreadSample& sample, Ticks time) {
  const auto since = [time](uint32_t age) { return age == 0 ? Ticks{0} : age < time ? time - age : Ticks{1}; };
  KthreadSignals signals;
  signals.rq_head = sample.rq_head;
  signals.rq_tail = sample.rq_tail;
  signals.rx_sent = sample.rx_sent;
  signals.rx_consumed = sample.rx_consumed;
  signals.oldest_packet = since(sample.oldest_packet_age_ticks);
  signals.oldest_uthread = since(sample.oldest_uthread_age_ticks);
  signals.busy = sample.busy_ticks;
  signals.kthread = sample.kthread;
  return signals;
}

KthreadSignals QuietBefore(KthreadSignals signals) {
  signals.rq_tail = signals.rq_head;
  signals.rx_sent = signals.rx_consumed;
  signals.oldest_packet = 0;
  signals.oldest_uthread = 0;
  return signals;
}

tl::expected<Reader, std::string> Reader::Open(std::span<const std::byte> log) {
  if (log.size() < sizeof(FileHeader)) return tl::make_unexpected("too short for a record of decisions");
  Reader reader;
  reader.header_ = Copy<FileHeader>(log.data());
  if (reader.header_.magic != kRecordMagic) return tl::make_unexpected("this is no record of decisions");
  if (reader.header_.version != kRecordVersion) {
    return tl::make_unexpected("a record of version " + std::to_string(reader.header_.version) +
                               ", this program reads version " + std::to_string(kRecordVersion));
  }
  if (const char* fault = Fault(reader.header_)) return tl::make_unexpected(std::string("the header has ") + fault);
  if (log.size() < reader.header_.header_bytes) return tl::make_unexpected("the list of cores is cut off");
  const uint16_t cores = reader.header_.cores;
  for (uint16_t i = 0; i < cores; i++) {
    reader.cores_.push_back(Copy<CoreEntry>(log.data() + sizeof(FileHeader) + i * sizeof(CoreEntry)));
    const uint16_t sibling = reader.cores_.back().sibling;
    if (sibling != kNobody && sibling >= cores) return tl::make_unexpected("a core has a sibling that does not exist");
  }
  reader.log_ = log;
  reader.at_ = reader.header_.header_bytes;
  return reader;
}

AllocatorOptions Reader::Options() const {
  AllocatorOptions options;
  for (const CoreEntry& core : cores_) options.cores.push_back({core.cpu, core.node, core.sibling});
  options.nic_node = header_.nic_node;
  options.shared_cpus = header_.shared_cpus == 1;
  options.interval = header_.interval_ticks;
  options.cede_grace = header_.cede_grace_ticks;
  options.cede_resend = header_.cede_resend_ticks;
  options.cede_give_up = header_.cede_give_up_ticks;
  options.grants_per_pass = header_.grants_per_pass;
  options.rate = abi::TickRate(header_.tsc_hz);
  options.pick = header_.pick.data();
  options.congestion = header_.congestion.data();
  options.placement = header_.placement.data();
  return options;
}

tl::expected<std::optional<Record>, std::string> Reader::Next() {
  const size_t left = log_.size() - at_;
  if (complete_ && left > 0) {
    return tl::make_unexpected("byte " + std::to_string(at_) + ": something follows the end of the record");
  }
  if (left < sizeof(RecordHead)) return std::nullopt;
  const std::byte* from = log_.data() + at_;
  const auto head = Copy<RecordHead>(from);
  if (head.bytes < sizeof(RecordHead) || head.bytes > kMaxRecordBytes || head.bytes % 8 != 0) {
    return tl::make_unexpected("byte " + std::to_string(at_) + ": a record of " + std::to_string(head.bytes) +
                               " bytes");
  }
  if (head.bytes > left) return std::nullopt;
  std::optional<Record> record = Read(from, head, header_.cores);
  if (!record) {
    return tl::make_unexpected("byte " + std::to_string(at_) + ": an impossible record of type " +
                               std::to_string(static_cast<uint16_t>(head.type)));
  }
  at_ += head.bytes;
  complete_ = head.type == RecordType::kEnd;
  return record;
}

}  // namespace sluice::record
