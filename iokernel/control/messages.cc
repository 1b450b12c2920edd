// messages.cc - see messages.h.
#include "iokernel/control/messages.h"

#include <algorithm>
#include <cstring>

#include "iokernel/control/config_parse.h"

namespace sluice {
namespace {

using abi::AnswerCode;

tl::unexpected<Refusal> Malformed(std::string sentence) {
  return tl::make_unexpected(Refusal{AnswerCode::kMalformed, std::move(sentence)});
}

template <class T>
T Copy(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// The text of a field, if it ends in the field and is printable.
template <size_t N>
bool ReadName(const char (&field)[N], std::string* out) {
  const char* end = std::find(field, field + N, '\0');
  if (end == field + N || !std::all_of(field, end, [](char c) { return c > ' ' && c < 0x7f; })) return false;
  out->assign(field, end);
  return true;
}

tl::expected<ClientMessage, Refusal> ParseAttach(std::span<const std::byte> bytes) {
  if (bytes.size() != sizeof(abi::AttachRequest)) {
    return Malformed("an attach request has " + std::to_string(sizeof(abi::AttachRequest)) + " bytes, this one " +
                     std::to_string(bytes.size()));
  }
  const auto request = Copy<abi::AttachRequest>(bytes);
  AttachWish wish;
  if (!ReadName(request.name, &wish.name) || !IsAppName(wish.name)) {
    return Malformed("an app's name is 1 to 31 letters, digits and -_.:+@");
  }
  if (!ReadName(request.steering, &wish.steering))
    return Malformed("the steering policy's name is not a printable text");
  if (request.priority > 2) {
    return Malformed("a priority is 0 (as configured), 1 (latency-critical) or 2 (best-effort), not " +
                     std::to_string(request.priority));
  }
  wish.address = request.address;
  wish.kthreads = request.kthreads;
  wish.guaranteed = request.guaranteed;
  wish.priority = request.priority;
  wish.flows = request.flows;
  wish.features = request.features;
  return wish;
}

tl::expected<ClientMessage, Refusal> ParseThreads(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(abi::ThreadsReady)) return Malformed("a list of threads that is too short");
  const auto ready = Copy<abi::ThreadsReady>(bytes);
  const size_t behind = bytes.size() - sizeof ready;
  if (behind != size_t{ready.count} * sizeof(uint32_t)) {
    return Malformed("a list of threads that says " + std::to_string(ready.count) + " and carries " +
                     std::to_string(behind) + " bytes of them");
  }
  ThreadsWish wish;
  wish.epoch = ready.epoch;
  wish.tids.resize(ready.count);
  if (behind > 0) std::memcpy(wish.tids.data(), bytes.data() + sizeof ready, behind);
  std::vector<uint32_t> sorted = wish.tids;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return Malformed("a thread is listed twice");
  if (!sorted.empty() && (sorted.front() == 0 || sorted.back() > INT32_MAX))
    return Malformed("no thread has such an id");
  return wish;
}

tl::expected<ClientMessage, Refusal> ParseQuery(std::span<const std::byte> bytes) {
  if (bytes.size() != sizeof(abi::Query)) return Malformed("a query of the wrong length");
  const auto query = Copy<abi::Query>(bytes);
  QueryWish wish;
  if (!ReadName(query.what, &wish.what) || wish.what.empty()) return Malformed("a query that is no printable text");
  return wish;
}

// A flow of UDP or TCP between two hosts.
bool IsFlow(const abi::CommandRequest& request) {
  constexpr uint8_t kTcp = 6, kUdp = 17;
  return request.source != 0 && request.destination != 0 && request.source_port != 0 && request.destination_port != 0 &&
         (request.protocol == kTcp || request.protocol == kUdp);
}

tl::expected<ClientMessage, Refusal> ParseCommand(std::span<const std::byte> bytes) {
  if (bytes.size() != sizeof(abi::CommandRequest)) return Malformed("a command of the wrong length");
  const auto request = Copy<abi::CommandRequest>(bytes);
  std::string verb;
  if (!ReadName(request.verb, &verb)) return Malformed("a command that is no printable text");
  constexpr std::string_view kVerbs[] = {"explain", "flow-add", "flow-del", "flow-list", "record-start", "record-stop"};
  const auto* known = std::find(std::begin(kVerbs), std::end(kVerbs), verb);
  if (known == std::end(kVerbs)) {
    return tl::make_unexpected(Refusal{AnswerCode::kUnknownQuery, "iokerneld knows no command " + verb});
  }
  CommandWish wish;
  wish.verb = static_cast<CommandVerb>(known - std::begin(kVerbs));
  if (wish.verb <= CommandVerb::kFlowRemove && !IsFlow(request)) {
    return Malformed("a flow is two addresses, two ports, and udp or tcp");
  }
  if (!ReadName(request.app, &wish.app) || (!wish.app.empty() && !IsAppName(wish.app))) {
    return Malformed("an app's name is 1 to 31 letters, digits and -_.:+@");
  }
  wish.tuple = {request.source, request.destination, request.source_port, request.destination_port, request.protocol};
  wish.home = request.home;
  wish.limit_bytes = request.limit_bytes;
  return wish;
}

abi::MessageHead Head(abi::ControlType type) { return {abi::kMagic, abi::kAbiVersion, type}; }

template <class T>
std::vector<std::byte> Bytes(const T& value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <size_t N>
void CopySentence(char (&field)[N], std::string_view sentence) {
  const size_t length = std::min(sentence.size(), N - 1);
  sentence.copy(field, length);
  field[length] = '\0';
}

}  // namespace

tl::expected<ClientMessage, Refusal> ParseMessage(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(abi::MessageHead)) return Malformed("a message shorter than its head");
  const auto head = Copy<abi::MessageHead>(bytes);
  if (head.magic != abi::kMagic) return Malformed("this is not Sluice's protocol");
  if (head.version != abi::kAbiVersion) {
    return tl::make_unexpected(Refusal{
        AnswerCode::kVersion, "iokerneld speaks ABI version " + std::to_string(abi::kAbiVersion) + ", this program " +
                                  std::to_string(head.version) + "; build both from one release"});
  }
  switch (head.type) {
    case abi::ControlType::kAttach:
      return ParseAttach(bytes);
    case abi::ControlType::kThreadsReady:
      return ParseThreads(bytes);
    case abi::ControlType::kQuery:
      return ParseQuery(bytes);
    case abi::ControlType::kCommand:
      return ParseCommand(bytes);
    default:
      return Malformed("a message of type " + std::to_string(static_cast<uint32_t>(head.type)) +
                       ", which an app does not send");
  }
}

std::vector<std::byte> MakeAttachAnswer(const Refusal& refusal) {
  abi::AttachAnswer answer{};
  answer.head = Head(abi::ControlType::kAttachAnswer);
  answer.code = refusal.code;
  CopySentence(answer.sentence, refusal.sentence);
  return Bytes(answer);
}

std::vector<std::byte> MakeAttachAnswer(uint64_t region_bytes, uint64_t epoch) {
  abi::AttachAnswer answer{};
  answer.head = Head(abi::ControlType::kAttachAnswer);
  answer.code = AnswerCode::kOk;
  answer.region_bytes = region_bytes;
  answer.epoch = epoch;
  return Bytes(answer);
}

std::vector<std::byte> MakeAnswer(AnswerCode code, std::string_view sentence) {
  abi::Answer answer{};
  answer.head = Head(abi::ControlType::kAnswer);
  answer.code = code;
  CopySentence(answer.sentence, sentence);
  return Bytes(answer);
}

std::vector<std::byte> MakeQueryAnswer(AnswerCode code, std::string_view piece, bool more) {
  abi::QueryAnswer answer{};
  answer.head = Head(abi::ControlType::kQueryAnswer);
  answer.code = code;
  answer.more = more ? 1 : 0;
  std::vector<std::byte> bytes = Bytes(answer);
  bytes.resize(sizeof answer + piece.size());
  if (!piece.empty()) std::memcpy(bytes.data() + sizeof answer, piece.data(), piece.size());
  return bytes;
}

}  // namespace sluice
