// messages.h - the control socket's messages, checked: bytes in, plain values or a refusal out.
//
// Whatever an app can send ends here or in admission.h, so both are pure and fuzzed (tests/fuzz/control_fuzz.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "iokernel/abi/control.h"
#include "policies/steering/flow.h"

namespace sluice {

struct Refusal {
  abi::AnswerCode code = abi::AnswerCode::kMalformed;
  std::string sentence;
};

struct AttachWish {
  std::string name;
  std::string steering;  // empty: none wished
  uint32_t address = 0;  // 0: any
  uint32_t kthreads = 0;
  uint32_t guaranteed = 0;
  uint32_t priority = 0;
  uint32_t flows = 0;
  uint64_t features = 0;  // abi::Feature bits that it offers
};

struct ThreadsWish {
  uint64_t epoch = 0;
  std::vector<uint32_t> tids;  // kthread 0 first; no duplicates, none 0
};

struct QueryWish {
  std::string what;
};

enum class CommandVerb : uint8_t { kExplain, kFlowAdd, kFlowRemove, kFlowList, kRecordStart, kRecordStop };

struct CommandWish {
  CommandVerb verb = CommandVerb::kExplain;
  std::string app;  // kFlowList: of this one only
  FiveTuple tuple;
  uint16_t home = kAnyHome;
  uint64_t limit_bytes = 0;
};

using ClientMessage = std::variant<AttachWish, ThreadsWish, QueryWish, CommandWish>;

tl::expected<ClientMessage, Refusal> ParseMessage(std::span<const std::byte> bytes);

// Answers, as they go on the wire.
std::vector<std::byte> MakeAttachAnswer(const Refusal& refusal);
std::vector<std::byte> MakeAttachAnswer(uint64_t region_bytes, uint64_t epoch);
std::vector<std::byte> MakeAnswer(abi::AnswerCode code, std::string_view sentence);
std::vector<std::byte> MakeQueryAnswer(abi::AnswerCode code, std::string_view piece, bool more);

inline constexpr size_t kQueryPiece = abi::kMaxControlMessage - sizeof(abi::QueryAnswer);

}  // namespace sluice
