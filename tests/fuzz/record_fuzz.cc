// record_fuzz.cc - any bytes as a file of recorded decisions: read to its end or refused, within the file, and what is
// read is possible.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <variant>
#include <vector>

#include "iokernel/abi/check.h"
#include "iokernel/brain/record_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  std::vector<uint64_t> aligned(size / 8 + 1);
  if (size > 0) std::memcpy(aligned.data(), data, size);
  auto reader = record::Reader::Open(std::as_bytes(std::span(aligned)).first(size));
  if (!reader) {
    SLUICE_CHECK(!reader.error().empty(), "a refusal without a sentence");
    return 0;
  }
  const AllocatorOptions options = reader->Options();
  SLUICE_CHECK(!options.cores.empty() && options.cores.size() <= kMaxCores, "an allocator that cannot be made");
  size_t records = 0, bytes = 0;
  for (;;) {
    const auto next = reader->Next();
    if (!next || !*next) break;
    const record::RecordHead& head = record::Head(**next);
    bytes += head.bytes;
    SLUICE_CHECK(++records <= size / sizeof(record::RecordHead) && bytes <= size, "more records than bytes");
    if (const auto* poll = std::get_if<record::Poll>(&**next)) {
      for (const record::KthreadSample& sample : poll->samples) {
        const KthreadSignals signals = record::Signals(sample, head.time);
        SLUICE_CHECK(signals.kthread < abi::kMaxKthreads, "a kthread that cannot be");
        SLUICE_CHECK(signals.oldest_packet <= head.time || head.time == 0 || signals.oldest_packet == 1,
                     "a packet from the future");
      }
    } else if (const auto* grant = std::get_if<record::RecordGrant>(&**next)) {
      SLUICE_CHECK(grant->core < options.cores.size() && grant->head.app < kMaxApps, "a grant of nothing to nobody");
    }
  }
  return 0;
}
