// app_table.h - the attached apps: by id, by address, in turn.
//
// Thread: the dataplane loop. The address map is asked once per packet: open addressing, mostly empty.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "iokernel/abi/check.h"
#include "iokernel/dataplane/app_state.h"
#include "policies/views.h"

namespace sluice {

// What FindAddress says of the IOKernel's own address.
inline constexpr AppId kIoKernelItself = 0xfffe;

class AppTable {
 public:
  explicit AppTable(std::optional<uint32_t> own_address) : own_address_(own_address) { Rebuild(); }

  void Add(DataplaneApp* app) {
    const AppId id = app->params().id;
    SLUICE_CHECK(id < kMaxApps && apps_[id] == nullptr, "an app is attached under an id that is free");
    apps_[id] = app;
    ids_[count_++] = id;
    Rebuild();
  }

  // Returns the app, or null if there is none.
  DataplaneApp* Remove(AppId id) {
    if (id >= kMaxApps || apps_[id] == nullptr) return nullptr;
    DataplaneApp* app = apps_[id];
    apps_[id] = nullptr;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count_; ++i) {
      if (ids_[i] != id) ids_[kept++] = ids_[i];
    }
    count_ = kept;
    Rebuild();
    return app;
  }

  [[nodiscard]] AppState* Get(AppId id) const {
    return id < kMaxApps && apps_[id] != nullptr ? &apps_[id]->state() : nullptr;
  }
  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] AppId At(uint32_t i) const { return ids_[i]; }

  // Whose address that is: an app's id, kIoKernelItself or kNoApp.
  [[nodiscard]] AppId FindAddress(uint32_t address) const {
    for (uint32_t at = Hash(address);; at = (at + 1) % kSlots) {
      if (slots_[at].id == kNoApp || slots_[at].address == address) return slots_[at].id;
    }
  }

  // After an app has died: dead ones are not reachable.
  void Rebuild() {
    slots_.fill(Slot{});
    if (own_address_) Insert(*own_address_, kIoKernelItself);
    for (uint32_t i = 0; i < count_; ++i) {
      const AppState& app = apps_[ids_[i]]->state();
      if (!app.dead) Insert(app.params.address, ids_[i]);
    }
  }

 private:
  static constexpr uint32_t kSlots = 1024;  // at most a quarter in use
  static_assert(kSlots > 2 * kMaxApps);

  struct Slot {
    uint32_t address = 0;
    AppId id = kNoApp;
  };

  static uint32_t Hash(uint32_t address) { return address * 0x9e37'79b1U >> 22; }

  void Insert(uint32_t address, AppId id) {
    uint32_t at = Hash(address);
    while (slots_[at].id != kNoApp && slots_[at].address != address) at = (at + 1) % kSlots;
    if (slots_[at].id == kNoApp) slots_[at] = {address, id};  // of two with one address the first has it
  }

  std::optional<uint32_t> own_address_;
  std::array<DataplaneApp*, kMaxApps> apps_{};
  std::array<AppId, kMaxApps> ids_{};
  uint32_t count_ = 0;
  std::array<Slot, kSlots> slots_{};
};

}  // namespace sluice
