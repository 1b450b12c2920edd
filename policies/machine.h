// machine.h - who has which core: what stands behind a MachineView, kept by the allocator.
//
// Every verb is O(1) but Detach, and none takes memory, so that placement can answer in sets and lists (views.h)
// instead of looking at every core.
#pragma once

#include <span>
#include <vector>

#include "policies/views.h"

namespace sluice {

class Machine {
 public:
  Machine(std::span<const CoreSpec> cores, uint16_t nic_node);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // share.held and share.pending are 0.
  void Attach(AppId app, const ShareView& share);
  // Its cores become idle, whatever was promised to it or of it is so no more.
  void Detach(AppId app);

  // The core is idle and promised to nobody.
  void Grant(CoreId core, AppId app, KthreadId kthread, Ticks now);
  // The owner is about to give it back: it does not count as held any more.
  void Cede(CoreId core);
  // Idle again; ceding or not.
  void Free(CoreId core);
  // The core's next owner. It is promised to nobody.
  void Promise(CoreId core, AppId app);
  void DropPromise(CoreId core);

  [[nodiscard]] const MachineView& view() const { return view_; }
  [[nodiscard]] uint16_t idle_cores() const { return idle_cores_; }  // promised ones, too

 private:
  void AddToHeld(CoreId core);
  void RemoveFromHeld(CoreId core);
  void Leave(CoreId core);
  void SetBeside(CoreId core, bool value);

  std::vector<CoreView> cores_;
  std::vector<ShareView> shares_;
  std::vector<AppCores> app_cores_;
  std::vector<AppId> attached_;
  CoreSet idle_;
  CoreSet near_;
  CoreSet beside_[2];
  uint16_t idle_cores_;
  MachineView view_;
};

}  // namespace sluice
