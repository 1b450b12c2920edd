// admission.h - who may attach, and as what. Pure: the config, who is there, and a wish in; parameters out.
//
// The operator's config goes before the app's wish: an entry's address and steering stand; its guarantee, max, flows
// and priority are upper bounds. An app without an entry gets what the entries leave over.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <tl/expected.hpp>

#include "iokernel/control/config.h"
#include "iokernel/control/messages.h"
#include "iokernel/dataplane/app.h"

namespace sluice {

// An app that is there, or is coming or going and holds its place.
struct Holder {
  std::string name;
  uint32_t address = 0;
  uint16_t guaranteed = 0;
  pid_t pid = 0;
  std::string command = {};
  bool leaving = false;
};

// "pid 4711 (memcached)"
std::string Describe(const Holder& holder);

class Admission {
 public:
  Admission(const Config& config, uint16_t mtu, uint64_t tsc_hz);

  // Without id and epoch, which the caller gives.
  [[nodiscard]] tl::expected<AppParams, Refusal> Admit(const AttachWish& wish, std::span<const Holder> holders) const;

 private:
  [[nodiscard]] tl::expected<uint32_t, Refusal> ChooseAddress(const AttachWish& wish, const AppConfig* entry,
                                                              std::span<const Holder> holders) const;
  [[nodiscard]] tl::expected<void, Refusal> CheckGuarantee(const AppParams& params,
                                                           std::span<const Holder> holders) const;
  [[nodiscard]] const AppConfig* Entry(const std::string& name) const;
  [[nodiscard]] bool Reserved(uint32_t address) const;

  const Config& config_;
  uint16_t mtu_;
  uint64_t tsc_hz_;
};

}  // namespace sluice
