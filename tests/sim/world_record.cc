// world_record.cc - the record of a world's decisions: it is whole, it is possible, and it agrees with the counters.
#include <algorithm>
#include <array>
#include <iterator>

#include "iokernel/brain/record_reader.h"
#include "iokernel/brain/recorder.h"
#include "tests/sim/world.h"

namespace sluice::test {

void World::StartRecord() {
  recording_ = true;
  record_ = MakeFileHeader(options_, 1'000'000'000, now_, 0);
  if (!allocator_->recorder().Start()) Fail("a recorder that cannot be started");
  allocator_->Pass(now_);
}

void World::DrainRecord() {
  std::array<std::byte, 65536> piece;
  while (const size_t got = allocator_->recorder().Read(piece)) {
    record_.insert(record_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got));
  }
}

// Possible: nobody is granted a core that another has, nobody gives back what he has not.
void World::CheckRecord() {
  allocator_->recorder().Stop();
  const AllocatorCounters& counted = allocator_->counters();
  const uint64_t expected[] = {counted.grants, counted.parks, counted.cedes, counted.evictions, counted.slices};
  allocator_->Pass(now_ += 5000);  // what it decides is not recorded any more
  DrainRecord();
  auto reader = record::Reader::Open(record_);
  if (!reader) return Fail("record: " + reader.error());
  std::vector<AppId> owner(options_.cores.size(), kNoApp);
  uint64_t grants = 0, parks = 0, cedes = 0, evictions = 0, turns = 0;
  for (;;) {
    const auto next = reader->Next();
    if (!next) return Fail("record: " + next.error());
    if (!*next) break;
    const AppId app = record::Head(**next).app;
    const auto leave = [&](CoreId core) {
      if (owner[core] != app) Fail("record: an app gives back a core that it has not");
      owner[core] = kNoApp;
    };
    if (const auto* grant = std::get_if<record::RecordGrant>(&**next)) {
      if (owner[grant->core] != kNoApp) Fail("record: a core is granted that another app has");
      owner[grant->core] = app;
      grants++;
    } else if (const auto* park = std::get_if<record::RecordPark>(&**next)) {
      leave(park->core);
      parks++;
    } else if (const auto* evict = std::get_if<record::RecordEvict>(&**next)) {
      leave(evict->core);
      evictions++;
    } else if (std::holds_alternative<record::RecordDetach>(**next)) {
      std::replace(owner.begin(), owner.end(), app, kNoApp);
    } else {
      cedes += std::holds_alternative<record::RecordCede>(**next);
      turns += std::holds_alternative<record::RecordTurn>(**next);
    }
  }
  if (!reader->complete()) Fail("record: it has no end");
  const uint64_t told[] = {grants, parks, cedes, evictions, turns};
  for (size_t i = 0; i < std::size(told); i++) {
    constexpr const char* kWhat[] = {"grants", "parks", "cedes", "evictions", "ends of turns"};
    if (told[i] == expected[i]) continue;
    Fail(std::string("record: it tells of ") + std::to_string(told[i]) + " " + kWhat[i] + " of " +
         std::to_string(expected[i]));
  }
}

}  // namespace sluice::test
